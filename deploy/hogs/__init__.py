"""Hogs: programs that take all they can get of one resource.  Antisocial VMs run them (`loadgen isolate`).

Each is a program of its own, imports little, and is bounded twice: by its VM, and by itself (a time, and an amount of
what it takes).  The hogs that could harm a machine without a limit never run outside of a cgroup of loadgen.
"""
