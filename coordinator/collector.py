"""The garbage collector, kept out of the way while a run goes on."""

from __future__ import annotations

import gc

_YOUNG = 10_000
"""So many new objects before it looks at them, for 20 ms.  With hundreds of machines, 700 come in milliseconds."""


def settle_collector() -> None:
    """What is there now stays: no collection looks at it again, which would hold up the run for 30 ms each time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 20)
