"""How far a machine's clock is from ours, from round trips.  Pure: every time is passed in.

A machine that answers at t, asked at s and heard at r (both of our clock), is ahead by t − (s + r)/2, and that is
wrong by at most half of the round trip.  Two clocks drift apart, so what was measured ages: a poor new sample is
better than a good old one as soon as the old one's error, grown by the drift, exceeds it.
"""

from __future__ import annotations

import collections

from loadgen.model.machine import Clock

DRIFT_PPM = 50
"""By how much two clocks that nobody disciplines may differ; those that NTP does are far better."""

_LATEST = 17


class ClockTrack:
    """The clock of one machine."""

    def __init__(self) -> None:
        self._offset_ns = 0
        self._error_ns = 0
        self._at_ns: int | None = None  # from when on the best sample ages; None before the first
        self._round_trips: collections.deque[int] = collections.deque(maxlen=_LATEST)

    @property
    def round_trip_ns(self) -> int:
        """The median of the latest 17 round trips; 0 before the first."""
        return sorted(self._round_trips)[len(self._round_trips) // 2] if self._round_trips else 0

    def sample(self, *, sent_ns: int, theirs_ns: int, received_ns: int) -> None:
        """It was asked at `sent_ns`, answered at `theirs_ns` of its own clock, and was heard at `received_ns`."""
        self._round_trips.append(received_ns - sent_ns)
        self._take(sent_ns, theirs_ns, received_ns)

    def overhear(self, *, sent_ns: int, heard_ns: int, said_ns: int, received_ns: int) -> None:
        """What was sent at `sent_ns` it heard at `heard_ns`; what it said at `said_ns` was heard at `received_ns`.

        The times between are of its own clock.  As if it had answered at once, so much earlier; but for the drift of
        its clock until it spoke, by which a quick answer would have come before it was asked.  What cannot be, as after
        our own clock stood still, says nothing; nor does what is older than the best sample, by another way.
        """
        if self._at_ns is not None and sent_ns < self._at_ns:
            return
        held_ns = said_ns - heard_ns
        answered_ns = received_ns - held_ns + _drift_ns(held_ns)
        if held_ns >= 0 and sent_ns <= answered_ns:
            self._take(sent_ns, heard_ns, answered_ns)

    def _take(self, sent_ns: int, theirs_ns: int, received_ns: int) -> None:
        round_trip_ns = received_ns - sent_ns
        offset_ns = theirs_ns - (sent_ns + received_ns) // 2
        error_ns = (round_trip_ns + 1) // 2 + 1  # both divisions round
        if self._at_ns is not None:
            aged_ns = self._aged_ns(received_ns)
            jumped = abs(offset_ns - self._offset_ns) > error_ns + aged_ns  # it was suspended, or is another one
            if error_ns > aged_ns and not jumped:
                return
        self._offset_ns, self._error_ns, self._at_ns = offset_ns, error_ns, sent_ns

    def at(self, now_ns: int) -> Clock:
        """What is known now, with the error that it has by now."""
        return Clock(offset_ns=self._offset_ns, error_ns=self._aged_ns(now_ns))

    def _aged_ns(self, now_ns: int) -> int:
        age_ns = now_ns - self._at_ns if self._at_ns is not None else 0
        return self._error_ns + _drift_ns(age_ns)


def _drift_ns(time_ns: int) -> int:
    return -(-time_ns * DRIFT_PPM // 1_000_000)
