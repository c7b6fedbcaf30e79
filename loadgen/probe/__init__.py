"""The throughput probe: iperf3's protocol, TCP and UDP streams, request/response latency."""
