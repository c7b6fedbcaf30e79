"""Experiments: an experiment plans the next run from the results so far, until it has an answer."""
