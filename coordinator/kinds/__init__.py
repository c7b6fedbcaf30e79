"""The kinds of runs: the little in which `spec`, `http`, `iperf` and `forward` differ."""
