"""CPU that other processes and the hypervisor use on the cores on which the engines run.

An engine that shares its core may still send in time, but it then measures a race for the core instead of the servers.
What a core was used for is read from the core's own counters, so that processes that end between two samples count,
too.  The CPU time of the run's own processes and of kernel threads, which also work for the run, is subtracted.  Where
it is not certain on which core a process of the run was, its time is subtracted from all that it may have been on.  So
the figures are lower bounds, and a quiet machine is never accused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, field

from loadgen.host.processes import Sample, descendants, take_sample

_KTHREADD = 2  # the parent of all kernel threads
_ENDED = "processes that ended soon"


@dataclass(frozen=True, slots=True)
class OtherUse:
    """CPU time `used_ns` of others on `cores` cores during `wall_ns`; `most` names the process that used the most."""

    used_ns: int
    wall_ns: int
    cores: int
    most: str

    @property
    def share(self) -> float:
        """The share of the cores' time that others used, 0..1; 0.0 without time or cores."""
        return self.used_ns / (self.wall_ns * self.cores) if self.wall_ns and self.cores else 0.0


@dataclass(slots=True)
class Beside:
    """What others used beside one engine in some time.

    `core_ns`: the time of the `cores` that the engine ran on; of it, `used_ns` were used by others, `stolen_ns` of this
    by the hypervisor.  `softirq_ns`: time of software interrupts on these cores.  `by_name`: CPU time by process.
    """

    used_ns: int = 0
    core_ns: int = 0
    stolen_ns: int = 0
    softirq_ns: int = 0
    cores: set[int] = field(default_factory=set)
    by_name: Counter[str] = field(default_factory=Counter)

    def add(self, other: Beside) -> None:
        """Add what others used in another time."""
        self.used_ns += other.used_ns
        self.core_ns += other.core_ns
        self.stolen_ns += other.stolen_ns
        self.softirq_ns += other.softirq_ns
        self.cores |= other.cores
        self.by_name.update(other.by_name)

    @property
    def most(self) -> str:
        """The process that used the most, the hypervisor left out."""
        if 2 * self.by_name.total() < self.used_ns - self.stolen_ns:
            return _ENDED
        return max(self.by_name.items(), key=lambda one: one[1], default=("none", 0))[0]

    def use(self) -> OtherUse:
        """The same as a share of the cores, with the hypervisor as one of the others."""
        most_ns = max(self.by_name.values(), default=0)
        name = "the hypervisor" if self.stolen_ns > most_ns else self.most
        return OtherUse(self.used_ns, self.core_ns, 1, name)


class Neighbours:
    """Adds up, for each engine, what others used of the cores that it ran on.

    `ours` are the processes whose CPU time, with that of their descendants, is not counted.
    """

    def __init__(self, engines: Iterable[int], ours: Iterable[int]) -> None:
        self._ours = tuple(ours)
        self._beside = {pid: Beside() for pid in engines}

    def add(self, before: Sample, after: Sample) -> dict[int, Beside]:
        """Count the time between two samples; return what others used in it, by engine whose cores are known."""
        mine = descendants(before, self._ours) | descendants(after, self._ours)
        spent = _Spent(before, after, mine)
        found = {}
        for pid, so_far in self._beside.items():
            cores = _cores_of(pid, before, after)
            if not cores or not cores <= after.cores.keys() & before.cores.keys():
                continue
            used_ns = sum(after.cores[core].used_ns - before.cores[core].used_ns for core in cores)
            stolen_ns = max(0, sum(after.cores[core].stolen_ns - before.cores[core].stolen_ns for core in cores))
            softirq_ns = sum(after.cores[core].softirq_ns - before.cores[core].softirq_ns for core in cores)
            found[pid] = Beside(
                used_ns=min(max(0, used_ns - spent.of_ours_ns(cores)), spent.others_ns) + stolen_ns,
                core_ns=len(cores) * (after.at_ns - before.at_ns),
                stolen_ns=stolen_ns,
                softirq_ns=max(0, softirq_ns),
                cores=cores,
                by_name=Counter(spent.of_others_ns(cores)),
            )
            so_far.add(found[pid])
        return found

    def worst(self) -> OtherUse:
        """What others used beside the engine that was disturbed most."""
        return max(
            (one.use() for one in self._beside.values()), key=lambda use: use.share, default=OtherUse(0, 0, 0, "")
        )


class _Spent:
    """Who spent how much CPU time between two samples."""

    def __init__(self, before: Sample, after: Sample, mine: Set[int]) -> None:
        self._mine: list[tuple[set[int], int]] = []  # (cores that a process may have been on, its CPU time)
        self._others: list[tuple[int, str, int]] = []
        total_ns = 0
        ended_ns = Counter[int]()  # what children that have ended since had used before, by parent
        for pid, process in before.processes.items():
            if pid not in after.processes:
                ended_ns[process.parent] += process.cpu_ns + process.reaped_ns
        for pid, process in after.processes.items():
            earlier = before.processes.get(pid)
            if earlier is not None and earlier.cpu_ns > process.cpu_ns:
                earlier = None  # another process has the number now
            spent_ns = process.cpu_ns - (earlier.cpu_ns if earlier else 0)
            if pid in mine or _KTHREADD in (pid, process.parent):
                spent_ns += process.reaped_ns - (earlier.reaped_ns if earlier else 0)
                spent_ns -= ended_ns[pid]  # it was spent before, but is in `reaped_ns` only now
                cores = {process.core, *([earlier.core] if earlier else [])}
                if pid in after.threads:
                    cores |= _cores_of(pid, before, after)
                self._mine.append((cores, max(0, spent_ns)))
                total_ns += max(0, spent_ns)
            elif spent_ns > 0:
                self._others.append((process.core, f"{process.name} (pid {pid})", spent_ns))
        used_ns = sum(core.used_ns - before.cores[at].used_ns for at, core in after.cores.items() if at in before.cores)
        self.others_ns = max(0, used_ns - total_ns)  # on the whole machine, where no doubt about cores exists

    def of_ours_ns(self, cores: Set[int]) -> int:
        return sum(spent_ns for on, spent_ns in self._mine if on & cores)

    def of_others_ns(self, cores: Set[int]) -> dict[str, int]:
        return {name: spent_ns for core, name, spent_ns in self._others if core in cores}


def _cores_of(pid: int, before: Sample, after: Sample) -> set[int]:
    """The cores that a process ran on, as far as two samples of its threads show; empty if it has ended.

    Threads that used no CPU time are left out, unless none did.
    """
    earlier, later = before.threads.get(pid, {}), after.threads.get(pid, {})
    ran = {tid for tid, thread in later.items() if tid not in earlier or thread.cpu_ns > earlier[tid].cpu_ns}
    return {threads[tid].core for tid in ran or later for threads in (earlier, later) if tid in threads}


class QuietWatch:
    """Measures per segment how much others use of the engines' cores; `ours` are processes of the run.

    The methods may be called from any thread, but not at the same time.
    """

    def __init__(self, ours: Callable[[], Iterable[int]]) -> None:
        self._ours = ours
        self._pids: tuple[int, ...] = ()
        self._last: Sample | None = None
        self._found: Neighbours | None = None
        self.knows_others = True

    def begin(self, pids: Sequence[int], also_ours: Iterable[int] | None = ()) -> None:
        """Begin a segment with the engines `pids`; `also_ours` are processes, such as servers, that may use cores.

        None stands for processes that cannot be told from others: then only the cores and the hypervisor are watched.
        """
        self._pids = tuple(pids)
        self.knows_others = also_ours is not None
        self._found = Neighbours(pids, [*self._ours(), *(also_ours or ())])
        self._last = take_sample(self._pids)

    def look(self) -> tuple[int, dict[int, Beside]]:
        """Take a sample: how long ago the last one was, in ns, and what others used since then, by engine.

        (0, {}) when no segment has begun.
        """
        before = self._last
        if before is None or self._found is None:
            return 0, {}
        self._last = take_sample(self._pids)
        return self._last.at_ns - before.at_ns, self._found.add(before, self._last)

    def end(self) -> OtherUse | None:
        """End the segment: the use by others beside the engine that was disturbed most.

        None if no segment had begun, or if others cannot be told from processes of the run.
        """
        if self._found is None:
            return None
        self.look()
        found, self._found, self._last = self._found, None, None
        return found.worst() if self.knows_others else None
