"""For facts that only a machine shows that was not busy elsewhere in that moment, such as a rate in half a second.

What is true whatever the speed is asserted without this.  A wrong program fails in each moment, and so in all of them.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import ParamSpec

P = ParamSpec("P")

MOMENTS = 6
PAUSE_S = 0.3


def in_a_calm_moment(test: Callable[P, None]) -> Callable[P, None]:
    """Run a test again, up to MOMENTS times in all, until its assertions hold."""

    @functools.wraps(test)
    def again(*arguments: P.args, **named: P.kwargs) -> None:
        for _ in range(MOMENTS - 1):
            try:
                return test(*arguments, **named)
            except AssertionError:
                time.sleep(PAUSE_S)
        return test(*arguments, **named)

    return again
