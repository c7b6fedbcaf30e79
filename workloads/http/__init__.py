"""Any HTTP requests: URLs from the command line, or a file of requests."""
