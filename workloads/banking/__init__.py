"""The SPECweb2005-style banking workload: users log in, read pages with embedded images, think, and log out.

The facts, with their sources, are in :mod:`workloads.banking.facts`.  All code, and what no source gives, is our own.
"""
