"""`loadgen pack`: how many VMs fit onto this machine."""
