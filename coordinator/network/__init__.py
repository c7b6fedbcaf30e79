"""The network tests: the ends that play them, and the runs of `loadgen iperf` and `loadgen forward`."""
