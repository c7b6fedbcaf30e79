"""The errors of a trial of `loadgen relative`."""

from __future__ import annotations

import pytest

from coordinator.kinds.relative.player import explained
from loadgen.model.errors import TargetError
from loadgen.model.limits import NO_LIMITS, VmLimits

LIMITS = VmLimits(memory_bytes=1 << 20, pids=5)


@pytest.mark.parametrize(
    ("environment", "limits", "hint", "found"),
    [
        ("ns", LIMITS, "", "a limit may be too low (memory_bytes, pids)"),
        ("ns", LIMITS, "its last output: no", "its last output: no"),
        ("ns", NO_LIMITS, "", ""),
        ("bare", LIMITS, "", ""),
    ],
)
def test_vms_that_end_without_a_word_may_have_limits_that_are_too_low(
    environment: str, limits: VmLimits, hint: str, found: str
) -> None:
    error = explained(TargetError("vm01 ended by itself", hint=hint), environment, limits)
    assert (error.message, error.hint) == ("vm01 ended by itself", found)
