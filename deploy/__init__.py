"""Deployment: web servers (:mod:`deploy.servers`), VMs that run them (:mod:`deploy.vms`), hosts, and the lab.

A VM driver starts servers and returns :class:`loadgen.model.target.Target` values; nothing above it knows how.
"""
