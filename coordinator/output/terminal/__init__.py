"""Live views and reports for a terminal.  Every view maps one immutable value to text and asks for nothing else."""
