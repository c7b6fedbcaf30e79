"""The throughput probe: client and server of iperf3's protocol, with TCP and UDP streams and request/response tests."""
