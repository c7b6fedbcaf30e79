"""Checks of network runs (`loadgen iperf`, `loadgen forward`): they take a NetworkEvidence or one of its subclasses."""
