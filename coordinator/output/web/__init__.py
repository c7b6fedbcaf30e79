"""Pages for a web browser: of a running command, and of recorded runs."""
