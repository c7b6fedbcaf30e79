"""The SPECweb99-style workload behind the seam of :mod:`workloads.api`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loadgen.model.plan import SpecPlan
from loadgen.schedule.optape import OpTape
from loadgen.schedule.timings import Timings
from workloads.api import Counting, Progress, Sent
from workloads.deal import SESSIONS
from workloads.fileset import FileSet
from workloads.specweb99 import files, fileset, mix, page, postlog, urls
from workloads.specweb99.compile import compile_tape, timings

_LINE_BPS = 400_000  # the line speed for which mix.CONNECTS_PER_S holds


class Specweb99:
    """The workload of `loadgen spec`."""

    def compile(self, plan: SpecPlan) -> OpTape:
        """One circular tape that all connections share; see :func:`workloads.specweb99.compile.compile_tape`."""
        return compile_tape(plan)

    def timings(self, plan: SpecPlan) -> Timings:
        """Those of the tape, with replies of a common length; see :func:`workloads.specweb99.compile.timings`."""
        return timings(plan)

    def counting(self, plan: SpecPlan) -> Counting:
        """Kinds are file classes, groups are types of operations; they are the same for every plan."""
        return Counting(
            kinds=mix.KINDS,
            groups=mix.GROUPS,
            kind_shares=mix.CLASS_SHARES,
            connects=SESSIONS,
        )

    def connects_per_s(self, plan: SpecPlan) -> float:
        """Proportional to the line speed, since connections are paced by it."""
        return mix.CONNECTS_PER_S * plan.line_bps / _LINE_BPS

    def files(self, plan: SpecPlan) -> FileSetNeeded:
        """The file set for the server with the most connections; raises PlanError when names run out."""
        return FileSetNeeded(urls.directories(plan))

    def check(self, plan: SpecPlan) -> PostLogCheck:
        """Reset before each iteration, Fetch after it."""
        return PostLogCheck(urls.reset_command(plan))


@dataclass(frozen=True, slots=True)
class FileSetNeeded:
    """A file set of this many directories, and the application; a :class:`workloads.api.ServerFiles`."""

    directories: int

    @property
    def extent(self) -> str:
        """The number of directories, as a phrase."""
        return f"{self.directories} directories"

    @property
    def size_bytes(self) -> int:
        """The size of all files of one document root."""
        return self.directories * files.DIRECTORY_BYTES

    @property
    def proof_path(self) -> str:
        """The smallest file of the last directory: a shorter file set lacks it."""
        return urls.file_path(self.directories - 1, 0, 0)

    @property
    def app(self) -> str:
        """The reference server's application factory, as `module:function`."""
        return "workloads.specweb99.app:vm_app"

    @property
    def app_path(self) -> str:
        """The page that a standard dynamic GET makes of the smallest file."""
        return f"{urls.DYNAMIC_GET}?{urls.file_path(0, 0, 0)}"

    def prepare(self, root: Path, progress: Progress) -> int:
        """Make the directories that are missing; see :func:`workloads.specweb99.fileset.ensure`."""
        return fileset.ensure(root, self.directories, progress).made

    def copy(self, source: Path, root: Path, progress: Progress) -> None:
        """Copy the file set to another root, for a VM of its own."""
        fileset.copy(FileSet(source, self.directories, made=0), root, progress)

    def verify(self, root: Path) -> list[str]:
        """Compare every byte; returns one line for each error that was found."""
        return fileset.verify(root, self.directories)


@dataclass(frozen=True, slots=True)
class PostLogCheck:
    """Compares each server's POST log with the POSTs that were sent to it; a :class:`workloads.api.ServerCheck`.

    `before_path` is the Reset command, which empties the log and makes the server's advertisements.
    """

    before_path: str
    after_path: str = urls.FETCH
    name: str = "POST log"

    def problems(self, body: bytes, sent: Sent) -> list[str]:
        """The problems of a server's log: at most 20, and the number of the others."""
        try:
            log = page.content_of(body)
        except ValueError as error:
            return [str(error)]
        posts = sent.counts[:, mix.POST, :]
        ok = tuple(posts[:, 0].tolist())
        attempted = tuple(posts.sum(axis=1).tolist()) if sent.complete else None
        report = postlog.check(log, postlog.PostCounts(ok=ok, attempted=attempted))
        found = [f"record {p.record} {p.text}" if p.record else p.text for p in report.problems]
        more = report.problem_count - len(report.problems)
        return [*found, f"{more} problems more"] if more else found

    def passed(self, sent: Sequence[Sent]) -> str:
        """The number of POSTs that were answered correctly, all servers together."""
        posts = sum(int(one.counts[:, mix.POST, 0].sum()) for one in sent)
        return f"{posts} POSTs, all logged, all in order"
