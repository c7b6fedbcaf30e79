"""Limits of VMs by cgroups: version 1, version 2, or both at once ("hybrid").

:mod:`deploy.limits.hierarchy` finds the controllers of this machine, :mod:`deploy.limits.groups` makes a group per VM,
sets its limits and reads back what the kernel granted.
"""
