"""What a program sees, and what is kept: a directory per run that stays readable whatever happens to the run."""
