"""When operations are due and what they are: pacing and operation tapes.  Pure; numpy at most."""
