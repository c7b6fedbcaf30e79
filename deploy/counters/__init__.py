"""What the kernel of this machine counts for each VM: read once a second, cheaply for a thousand VMs.

:mod:`deploy.counters.place` says where a VM's counters are; a driver gives a place for each of its VMs.
:mod:`deploy.counters.sampler` reads all of them.
"""
