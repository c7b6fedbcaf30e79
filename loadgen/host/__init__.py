"""Access to this machine for load-generating processes: pipes, limits, NICs, addresses, other processes."""
