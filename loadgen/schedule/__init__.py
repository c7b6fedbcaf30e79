"""The content of operations, their due times and their workers: tapes, arrivals, placement.  Pure; uses numpy only."""
