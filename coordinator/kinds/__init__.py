"""The kinds of runs: the parts in which `spec`, `http`, `iperf` and `forward` differ."""
