"""Containers of Docker or podman: the engine, the image, and the first process of each container.

:mod:`deploy.vms.oci` makes VMs of them.
"""
