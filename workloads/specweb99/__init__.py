"""The SPECweb99-style workload: mix, file set, advertisements, POST log, operation tape, reference server.

It implements the published rules of the benchmark with tables and code of our own; results are "SPECweb99-style",
never a SPEC score.
"""
