"""Machines that are reached over SSH: which they are, and how a program is started there and ended again."""
