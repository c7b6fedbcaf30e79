"""One play of a plan: the frame, what every kind of run supplies to it, and the value that comes out (`Played`)."""
