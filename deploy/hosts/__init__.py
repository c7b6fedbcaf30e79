"""Hosts that are reached over SSH: their description, and how a program is started and ended there."""
