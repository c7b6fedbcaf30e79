"""What is asked of servers.  A workload is compiled to data here, so that a load machine needs no code of it."""
