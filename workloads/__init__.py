"""Workloads: the requests to servers.  A workload is compiled to data, so that load machines need none of its code.

:mod:`workloads.api` is the seam, :mod:`workloads.catalog` finds a workload by name.
"""
