"""`loadgen iperf`: throughput and latency of a network path in the protocol of iperf3."""
