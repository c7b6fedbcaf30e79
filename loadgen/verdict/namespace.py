"""What the kernel counted in the network namespaces of the load machines in a window.  Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from loadgen.measure.disturbance import NAMESPACE, MachineSecond
from loadgen.model.units import NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceRow:
    """The counters of a load machine's network namespace: of everything in it, not of the load alone.

    `seconds`: the whole seconds of the window that were read.  `counted`: by the names of NAMESPACE, the increase in
    these seconds; a counter that is not known in each of them is left out.
    """

    machine: str
    seconds: int
    counted: Mapping[str, int]


class NamespaceSums:
    """Adds up what load machines said of each second, by window and machine."""

    def __init__(self) -> None:
        self._seconds: defaultdict[tuple[int, str], int] = defaultdict(int)
        self._counted: dict[tuple[int, str], dict[str, int]] = {}

    def add(self, second: MachineSecond) -> None:
        """Add a second, if at least half of it is in a measured window."""
        if second.window < 0 or 2 * second.window_ns < second.span * NS_PER_S:
            return
        key = second.window, second.machine
        self._seconds[key] += second.span
        known = {name: value for name in NAMESPACE if (value := getattr(second, name)) >= 0}
        before = self._counted.get(key, dict.fromkeys(NAMESPACE, 0))
        self._counted[key] = {name: before[name] + value for name, value in known.items() if name in before}

    def rows(self, window: int) -> tuple[NamespaceRow, ...]:
        """The rows of a window, by name of the machine; () when nothing was read."""
        return tuple(
            NamespaceRow(machine=machine, seconds=self._seconds[at, machine], counted=counted)
            for (at, machine), counted in sorted(self._counted.items())
            if at == window and counted
        )
