"""The workload of any HTTP requests: URLs from the command line, or requests from a file."""
