"""Measurements: records, histograms, tallies, snapshots and the ledger.  Pure; uses numpy only."""
