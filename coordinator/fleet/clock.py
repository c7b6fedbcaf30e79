"""Measures the offset of a machine's clock from ours by round trips.  Pure: every time is passed in.

If a machine is asked at s and heard at r (both of our clock), and answers at t of its own clock, it is ahead by
t − (s + r)/2 with an error of at most half the round trip.  Clocks drift apart, so a measurement ages: a poor new
sample replaces a good old one as soon as the error of the old one, grown by the drift, is larger.
"""

from __future__ import annotations

import collections

from loadgen.model.machine import Clock

DRIFT_PPM = 500
"""The largest drift between two clocks, in parts per million.

CLOCK_MONOTONIC runs at the rate that NTP sets, and the kernel allows 500 ppm (`tolerance` of adjtimex(2)).  Oscillators
without NTP differ by 50 ppm at most, but a clock that NTP corrects may run at the limit for minutes.
"""

_LATEST = 17


class ClockTrack:
    """The measurements of one machine's clock."""

    def __init__(self) -> None:
        self._offset_ns = 0
        self._error_ns = 0
        self._at_ns: int | None = None  # when the best sample was taken; None before the first
        self._leap_ns = 0
        self._round_trips: collections.deque[int] = collections.deque(maxlen=_LATEST)

    @property
    def round_trip_ns(self) -> int:
        """The median of the latest 17 round trips, in ns; 0 before the first."""
        return sorted(self._round_trips)[len(self._round_trips) // 2] if self._round_trips else 0

    def sample(self, *, sent_ns: int, theirs_ns: int, received_ns: int) -> None:
        """Take a round trip: asked at `sent_ns`, answered at `theirs_ns` of its clock, received at `received_ns`."""
        self._round_trips.append(received_ns - sent_ns)
        self._take(sent_ns, theirs_ns, received_ns)

    def overhear(self, *, sent_ns: int, heard_ns: int, said_ns: int, received_ns: int) -> None:
        """Take two messages: one sent at `sent_ns` and heard at `heard_ns`, one said at `said_ns` and received at
        `received_ns`.

        `heard_ns` and `said_ns` are of the machine's clock.  This counts as a round trip without the time in between,
        corrected for the drift during that time; without the correction, an answer could seem to come before its
        question.  Impossible times, as after a freeze of this process, are ignored; so are messages that were sent
        before the best sample was taken.
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
            # the machine was suspended, or is another machine
            leap_ns = abs(offset_ns - self._offset_ns) - error_ns - aged_ns
            if error_ns > aged_ns and leap_ns <= 0:
                return
            self._leap_ns = max(self._leap_ns, leap_ns)
        self._offset_ns, self._error_ns, self._at_ns = offset_ns, error_ns, sent_ns

    def take_leap_ns(self) -> int:
        """Return by how much the clock leapt at least, at once, since the last call; 0 if it only drifted."""
        leap_ns, self._leap_ns = self._leap_ns, 0
        return leap_ns

    def at(self, now_ns: int) -> Clock:
        """Return the best sample, with the error that it has at `now_ns`."""
        return Clock(offset_ns=self._offset_ns, error_ns=self._aged_ns(now_ns))

    def _aged_ns(self, now_ns: int) -> int:
        age_ns = now_ns - self._at_ns if self._at_ns is not None else 0
        return self._error_ns + _drift_ns(age_ns)


def _drift_ns(time_ns: int) -> int:
    return -(-time_ns * DRIFT_PPM // 1_000_000)
