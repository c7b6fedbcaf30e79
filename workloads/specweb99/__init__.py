"""The SPECweb99-style workload: mix, file set, advertisements, POST log, operation tape, reference server.

It re-implements published facts of the benchmark with own tables and own code; results are
"SPECweb99-style", never a SPEC score.
"""
