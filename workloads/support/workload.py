"""The support workload behind the seam of :mod:`workloads.api`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from loadgen.model.plan import SpecPlan
from loadgen.model.shard import share_out
from loadgen.schedule.optape import OpTape
from workloads import fileset
from workloads.api import Counting, Progress
from workloads.support import chain, downloads, facts, pages
from workloads.support.compile import GROUPS, UNDER_WAY, compile_tape, connects_per_s


class Support:
    """A workload of `loadgen spec`."""

    def compile(self, plan: SpecPlan) -> OpTape:
        """One circular tape that all connections share; see :func:`workloads.support.compile.compile_tape`."""
        return compile_tape(plan, sessions(plan))

    def timings(self, plan: SpecPlan) -> None:
        """None: connections may begin outside of the circle, so the tape alone does not tell when operations end."""

    def counting(self, plan: SpecPlan) -> Counting:
        """Kinds are pages and downloads.

        The number of TCP connections is not judged: a window of 20 s holds about two operations of each connection, and
        the first of them always opens one.
        """
        return Counting(kinds=facts.KINDS, groups=GROUPS, kind_shares=chain.SHARES, unmixed=(UNDER_WAY,))

    def connects_per_s(self, plan: SpecPlan) -> float:
        """From the mean time between the operations of a connection on its line."""
        return connects_per_s(plan.line_bps)

    def files(self, plan: SpecPlan) -> DownloadsNeeded:
        """The downloads for the server with the most connections."""
        return DownloadsNeeded(downloads.directories(sessions(plan)))

    def check(self, plan: SpecPlan) -> None:
        """None: the servers keep no log."""


def sessions(plan: SpecPlan) -> int:
    """The simultaneous sessions of the server that has most of them: its connections."""
    weights = [target.weight for target in plan.targets] or [1] * plan.vms
    return max(share_out(plan.total_connections, weights))


@dataclass(frozen=True, slots=True)
class DownloadsNeeded:
    """So many directories of downloads, and the application; a :class:`workloads.api.ServerFiles`."""

    directories: int

    @property
    def extent(self) -> str:
        """The number of directories, as a phrase."""
        return f"{self.directories} director{'y' if self.directories == 1 else 'ies'}"

    @property
    def size_bytes(self) -> int:
        """The size of all files of one document root."""
        return self.directories * downloads.LAYOUT.directory_bytes

    @property
    def proof_path(self) -> str:
        """The smallest file of the last directory: a smaller file set lacks it."""
        return downloads.path(self.directories - 1, downloads.FILES[0])

    @property
    def app(self) -> str:
        """The reference server's application factory, as `module:function`."""
        return "workloads.support.app:vm_app"

    @property
    def app_path(self) -> str:
        """The first page."""
        return pages.SITE.path(facts.HOME, 0)

    def prepare(self, root: Path, progress: Progress) -> int:
        """Make the directories that are missing; see :func:`workloads.fileset.ensure`."""
        return fileset.ensure(downloads.LAYOUT, root, self.directories, progress).made

    def copy(self, source: Path, root: Path, progress: Progress) -> None:
        """Copy the files to another root, for a VM of its own."""
        fileset.copy(downloads.LAYOUT, fileset.FileSet(source, self.directories, made=0), root, progress)

    def verify(self, root: Path) -> list[str]:
        """Compare every byte; returns one line for each error that was found."""
        return fileset.verify(downloads.LAYOUT, root, self.directories)
