"""The parts of an agent that use Dask `distributed` (extra: loadgen[fleet])."""
