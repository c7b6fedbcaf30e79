"""`loadgen isolate`: what antisocial VMs do to the latency of a quiet one."""
