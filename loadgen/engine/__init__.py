"""Plays operation tapes on sockets: the contract, the sans-IO protocol, the Python engine and its process."""
