"""`loadgen http`: any requests, in a closed or an open loop."""
