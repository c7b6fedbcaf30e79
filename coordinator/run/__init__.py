"""One run of a plan: the frame, the interface of the kinds of runs, and the value that a run returns (`Played`)."""
