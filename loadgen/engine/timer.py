"""Timers of the kernel as descriptors (timerfd, which Python has from 3.13 on): those of event loops are less exact."""

from __future__ import annotations

import ctypes
import os
import time

from loadgen.model.units import NS_PER_S

_TFD_NONBLOCK = os.O_NONBLOCK  # sys/timerfd.h
_TFD_CLOEXEC = os.O_CLOEXEC
_TFD_TIMER_ABSTIME = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("rest_ns", ctypes.c_long))  # a time_t is a long on 64-bit Linux

    @classmethod
    def of(cls, time_ns: int) -> _Timespec:
        return cls(*divmod(time_ns, NS_PER_S))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("first", _Timespec))


def _created() -> tuple[ctypes.CDLL, int]:
    """The C library, and a new timer of it that is not set.  Raises OSError when no descriptor is left."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor: int = libc.timerfd_create(time.CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return libc, descriptor


class Alarm:
    """A timer that fires once for each :meth:`set`: its `descriptor` is readable then, until it is set or cleared."""

    def __init__(self) -> None:
        """Raises OSError when no descriptor is left."""
        libc, self.descriptor = _created()
        self._set = libc.timerfd_settime
        self._times = _Itimerspec()
        self._first = self._times.first  # a view: it is set for each wake
        self._reference = ctypes.byref(self._times)

    def set(self, at_ns: int) -> None:
        """Fire at `at_ns` of CLOCK_MONOTONIC, at once if this is over; a time that was set before counts no more."""
        self._first.seconds, self._first.rest_ns = divmod(max(at_ns, 1), NS_PER_S)
        self._set(self.descriptor, _TFD_TIMER_ABSTIME, self._reference, None)

    def clear(self) -> None:
        """Do not fire."""
        self._first.seconds = self._first.rest_ns = 0
        self._set(self.descriptor, _TFD_TIMER_ABSTIME, self._reference, None)

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self.descriptor)


def periodic_timer(first_ns: int, period_ns: int) -> int:
    """A descriptor that becomes readable at `first_ns` of CLOCK_MONOTONIC, and every `period_ns` after that.

    The caller closes it.  Raises OSError when no descriptor is left.
    """
    libc, descriptor = _created()
    first_ns = max(first_ns, 1)  # 0 would stop the timer
    times = _Itimerspec(_Timespec.of(period_ns), _Timespec.of(first_ns))
    libc.timerfd_settime(descriptor, _TFD_TIMER_ABSTIME, ctypes.byref(times), None)
    return descriptor
