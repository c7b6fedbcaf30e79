"""The fleet on Dask `distributed`, by its public API.  Only modules in here import it (extra: fleet)."""
