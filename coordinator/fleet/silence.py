"""Who has not been heard for too long.  Pure: every time is passed in.

When it was us who stood still (a frozen process, a suspended machine), nobody could be heard: all deadlines are
moved by as long as that took.
"""

from __future__ import annotations

from loadgen.model.units import NS_PER_S

_STALL_NS = NS_PER_S


class Silence:
    """Everybody that should speak each second; `tick` must be called several times a second."""

    def __init__(self, limit_ns: int, now_ns: int) -> None:
        self._limit_ns = limit_ns
        self._ticked_ns = now_ns
        self._heard_ns: dict[str, int] = {}

    def expect(self, name: str, now_ns: int) -> None:
        """It is expected to speak from now on."""
        self._heard_ns[name] = now_ns

    def heard(self, name: str, now_ns: int) -> None:
        """It spoke, be it expected or not."""
        if name in self._heard_ns:
            self._heard_ns[name] = now_ns

    def forget(self, name: str) -> None:
        """It is not expected to speak any more."""
        self._heard_ns.pop(name, None)

    def ago_ns(self, name: str, now_ns: int) -> int:
        """How long it has been silent while we were listening; 0 for somebody unknown."""
        return max(0, now_ns - self._heard_ns.get(name, now_ns))

    def tick(self, now_ns: int) -> list[str]:
        """Those who have been silent for longer than the limit."""
        stalled_ns = now_ns - self._ticked_ns
        self._ticked_ns = now_ns
        if stalled_ns > _STALL_NS:
            self._heard_ns = {name: min(now_ns, at_ns + stalled_ns) for name, at_ns in self._heard_ns.items()}
        return [name for name, at_ns in self._heard_ns.items() if now_ns - at_ns > self._limit_ns]
