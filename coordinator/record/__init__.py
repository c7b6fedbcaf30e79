"""The records of runs: a directory per run that programs can read, and that stays readable whatever happens to the
run.
"""
