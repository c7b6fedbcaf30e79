"""Where things run: web servers (:mod:`deploy.servers`), the VMs they run in (:mod:`deploy.vms`), and machines.

A driver starts servers and answers :class:`loadgen.model.target.Target` values; nothing above it knows how.
"""
