"""Plays operation tapes on sockets: the engine contract, the sans-IO HTTP reader, both engines, the engine process."""
