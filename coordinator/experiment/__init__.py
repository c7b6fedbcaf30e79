"""Experiments: which run comes next, given the results so far, until there is an answer."""
