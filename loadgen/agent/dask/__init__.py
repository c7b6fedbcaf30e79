"""The parts of a load machine that use Dask."""
