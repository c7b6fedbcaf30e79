"""`loadgen http`: any HTTP requests against any servers, with objectives."""
