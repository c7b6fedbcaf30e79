"""Checks of runs that play a tape of operations (`loadgen spec`, `loadgen http`): they take a TrustEvidence."""
