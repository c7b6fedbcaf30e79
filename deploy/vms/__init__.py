"""VM drivers: each starts its VMs, answers their targets, reports deaths by name and leaves nothing behind.

`local`: plain processes on this machine, one TCP port a VM.
"""
