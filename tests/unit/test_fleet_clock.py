from __future__ import annotations

import math

from hypothesis import example, given
from hypothesis import strategies as st

from coordinator.fleet.clock import DRIFT_PPM, ClockTrack
from loadgen.model.machine import Clock
from loadgen.model.units import NS_PER_MS, NS_PER_S

delays_ns = st.integers(0, 500 * NS_PER_MS)
START_NS = 10**15


def asked(track: ClockTrack, sent_ns: int, there_ns: int, back_ns: int, offset_ns: int) -> int:
    """Make a round trip to a clock that is ahead by `offset_ns`; returns the time when the answer arrives."""
    received_ns = sent_ns + there_ns + back_ns
    track.sample(sent_ns=sent_ns, theirs_ns=sent_ns + there_ns + offset_ns, received_ns=received_ns)
    return received_ns


@given(
    offset_ns=st.integers(-(10**15), 10**18),
    trips=st.lists(st.tuples(delays_ns, delays_ns, delays_ns), min_size=1, max_size=30),
    drift=st.floats(-1, 1),
    wait_ns=st.integers(0, 120 * NS_PER_S),
)
def test_the_error_bound_holds_for_any_delays_and_any_allowed_drift(
    offset_ns: int, trips: list[tuple[int, int, int]], drift: float, wait_ns: int
) -> None:
    track = ClockTrack()
    now_ns = START_NS

    def ahead_ns(at_ns: int) -> int:
        return offset_ns + int((at_ns - START_NS) * drift * DRIFT_PPM / 1_000_000)

    for pause_ns, there_ns, back_ns in trips:
        sent_ns = now_ns + pause_ns
        now_ns = asked(track, sent_ns, there_ns, back_ns, ahead_ns(sent_ns + there_ns))
        clock = track.at(now_ns)
        assert abs(clock.offset_ns - ahead_ns(now_ns)) <= clock.error_ns + 2  # this test rounds, too
    later = track.at(now_ns + wait_ns)
    assert abs(later.offset_ns - ahead_ns(now_ns + wait_ns)) <= later.error_ns + 2


@given(
    offset_ns=st.integers(-(10**12), 10**18),
    there_ns=st.integers(0, NS_PER_MS),
    held_ns=st.integers(0, 3 * NS_PER_S),
    back_ns=st.integers(0, NS_PER_MS),
    drift=st.floats(-1, 1),
)
@example(offset_ns=5, there_ns=0, held_ns=3 * NS_PER_S, back_ns=0, drift=1.0)  # within its drift
def test_the_error_bound_holds_when_the_machine_answers_later(
    offset_ns: int, there_ns: int, held_ns: int, back_ns: int, drift: float
) -> None:
    """`held_ns` is measured with the machine's clock, which drifts."""
    track = ClockTrack()
    heard_ns = START_NS + there_ns
    said_ns = heard_ns + math.ceil(held_ns / (1 + drift * DRIFT_PPM / 1_000_000))
    theirs_ns = heard_ns + offset_ns
    track.overhear(sent_ns=START_NS, heard_ns=theirs_ns, said_ns=theirs_ns + held_ns, received_ns=said_ns + back_ns)
    clock, ahead_ns = track.at(said_ns + back_ns), theirs_ns + held_ns - said_ns
    assert clock.error_ns > 0  # the sample was accepted
    assert abs(clock.offset_ns - ahead_ns) <= clock.error_ns + 2
    assert clock.error_ns <= (there_ns + back_ns) // 2 + held_ns * 2 * DRIFT_PPM // 1_000_000 + 10_000
    assert track.round_trip_ns == 0  # how long it waits for its heartbeat says nothing of the network


def test_impossible_samples_are_ignored() -> None:
    track = ClockTrack()
    asked(track, START_NS, 10_000, 10_000, 700)
    known = track.at(START_NS)
    track.overhear(sent_ns=START_NS, heard_ns=START_NS, said_ns=START_NS + NS_PER_S, received_ns=START_NS + 1)
    track.overhear(sent_ns=START_NS, heard_ns=START_NS + 1, said_ns=START_NS, received_ns=START_NS + 1)
    jumped_ns = START_NS - NS_PER_S  # heard before the sample; the second message comes after it by another way
    track.overhear(sent_ns=jumped_ns, heard_ns=jumped_ns, said_ns=jumped_ns + 1, received_ns=jumped_ns + 1000)
    assert track.at(START_NS) == known


def test_the_shortest_round_trip_is_used() -> None:
    track = ClockTrack()
    now_ns = asked(track, START_NS, 5 * NS_PER_MS, NS_PER_MS, 700)
    now_ns = asked(track, now_ns, 10_000, 10_000, 700)
    now_ns = asked(track, now_ns, NS_PER_MS, 5 * NS_PER_MS, 700)
    clock = track.at(now_ns)
    assert clock.offset_ns == 700
    assert clock.error_ns < 11_000 + 6 * DRIFT_PPM  # 6 ms old
    assert track.round_trip_ns == 6 * NS_PER_MS  # in the middle of three


def test_an_old_measurement_is_replaced_by_a_less_exact_new_one() -> None:
    track = ClockTrack()
    now_ns = asked(track, START_NS, 10_000, 10_000, 0)
    drifted_ns = 60 * DRIFT_PPM * 1000 // 2
    now_ns = asked(track, now_ns + 60 * NS_PER_S, NS_PER_MS // 2, NS_PER_MS // 2, drifted_ns)
    assert track.at(now_ns).offset_ns == drifted_ns


@given(
    offset_ns=st.integers(-(10**12), 10**15),
    leap_ns=st.integers(-(10**10), 10**10),
    trips=st.lists(st.tuples(delays_ns, delays_ns, delays_ns), min_size=1, max_size=9),
    more=st.lists(st.tuples(delays_ns, delays_ns, delays_ns), min_size=1, max_size=9),
    drift=st.floats(-1, 1),
)
def test_a_leap_is_told_once_and_drift_is_none(
    offset_ns: int, leap_ns: int, trips: list[tuple[int, int, int]], more: list[tuple[int, int, int]], drift: float
) -> None:
    track = ClockTrack()
    now_ns = START_NS

    def ahead_ns(at_ns: int) -> int:
        return offset_ns + int((at_ns - START_NS) * drift * DRIFT_PPM / 1_000_000)

    for pause_ns, there_ns, back_ns in trips:
        sent_ns = now_ns + pause_ns
        now_ns = asked(track, sent_ns, there_ns, back_ns, ahead_ns(sent_ns + there_ns))
    assert track.take_leap_ns() <= 2  # this test rounds, too
    offset_ns += leap_ns
    for pause_ns, there_ns, back_ns in more:
        sent_ns = now_ns + pause_ns
        now_ns = asked(track, sent_ns, there_ns, back_ns, ahead_ns(sent_ns + there_ns))
    told_ns = track.take_leap_ns()
    assert told_ns <= abs(leap_ns) + 2
    slowest_ns = max(there_ns + back_ns for _, there_ns, back_ns in (*trips, *more))
    assert told_ns >= abs(leap_ns) - 3 * slowest_ns - NS_PER_MS * 10
    assert track.take_leap_ns() == 0


def test_a_clock_jump_is_accepted_at_once() -> None:
    track = ClockTrack()
    now_ns = asked(track, START_NS, 10_000, 10_000, 0)
    now_ns = asked(track, now_ns, NS_PER_MS, NS_PER_MS, 5 * NS_PER_S)
    assert track.at(now_ns).offset_ns == 5 * NS_PER_S


def test_nothing_is_known_before_the_first_round_trip() -> None:
    assert ClockTrack().at(START_NS) == Clock()
    assert ClockTrack().round_trip_ns == 0


def test_a_clock_that_ntp_corrects_as_fast_as_the_kernel_allows_is_within_the_error() -> None:
    """adjtimex(2) allows 500 ppm: 30 ms in a minute."""
    track = ClockTrack()
    now_ns = asked(track, START_NS, 10_000, 10_000, 0)
    later = track.at(now_ns + 60 * NS_PER_S)
    assert abs(later.offset_ns - 30 * NS_PER_MS) <= later.error_ns
