"""What the report of `loadgen iperf` says about windows that were requested and not granted."""

from __future__ import annotations

import dataclasses

from loadgen.measure.throughput import Granted, ProbeResult
from tests.support.iperf_judging import judged
from tests.support.networks import IPERF


def test_a_window_that_the_kernel_did_not_grant_is_said() -> None:
    """64M was requested, and net.core.wmem_max allows 4M, of which Linux grants twice as much."""
    here = Granted(send_bytes=8 << 20, receive_bytes=128 << 20)
    there = Granted(send_bytes=128 << 20, receive_bytes=3 << 19)

    def capped(one: ProbeResult) -> ProbeResult:
        return dataclasses.replace(one, local_granted=here, remote_granted=there)

    plan = dataclasses.replace(IPERF, windows_bytes=(64 << 20,))
    said = [note for note in judged(plan, capped).notes if "granted" in note]
    assert said == [
        "The kernel of this end granted 4M of the 64M requested as the send window: net.core.wmem_max there is the "
        "limit.",
        "The kernel of the far end granted 768K of the 64M requested as the receive window: net.core.rmem_max there is "
        "the limit.",
    ]


def test_granted_windows_need_no_note() -> None:
    """Linux grants twice what is requested."""

    def whole(one: ProbeResult) -> ProbeResult:
        twice = 2 * one.test.window_bytes
        return dataclasses.replace(
            one, local_granted=Granted(send_bytes=twice, receive_bytes=twice), remote_granted=Granted()
        )

    assert not [note for note in judged(IPERF, whole).notes if "granted" in note]
