"""VM drivers: each starts or finds VMs, gives their targets, reports deaths by name and leaves nothing behind.

:mod:`deploy.vms.api` is the seam, :mod:`deploy.vms.catalog` finds a driver by name.
"""
