"""The nouns: plans, targets, shards, units, outcomes, errors.  Frozen values, standard library only."""
