"""Output for people and programs: the live view of a run, and a record in one of several formats."""
