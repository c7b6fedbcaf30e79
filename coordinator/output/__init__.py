"""What people and programs get to see: the live view of a run, and a record in one of several formats."""
