"""The SPECweb2005-style support workload: users read pages of a support site, think, and download files.

The facts, with their sources, are in :mod:`workloads.support.facts`.  All code, and what no source gives, is our own.
"""
