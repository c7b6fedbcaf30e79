"""The records of runs: a directory per run that programs can read, and that stays readable after any failure."""
