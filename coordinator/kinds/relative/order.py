"""The order of the environments in a round."""

from __future__ import annotations

import numpy as np

from loadgen.model.relative import RelativePlan


def order_of(plan: RelativePlan, number: int) -> tuple[str, ...]:
    """The environments in the order of the round `number`: shuffled by the seed, so that none always comes first."""
    shuffled = np.random.default_rng((plan.seed, number)).permutation(len(plan.environments))
    return tuple(plan.environments[at] for at in shuffled.tolist())
