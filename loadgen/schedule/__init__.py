"""What operations are, when they are due and who plays them: tapes, arrivals, placement.  Pure; uses numpy only."""
