"""The coordinator's part of a fleet on Dask `distributed` (extra: loadgen[fleet]), by its public API only."""
