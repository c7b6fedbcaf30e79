"""The banking workload behind the seam of :mod:`workloads.api`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from loadgen.model.plan import SpecPlan
from loadgen.model.shard import share_out
from loadgen.schedule.optape import OpTape
from workloads import fileset
from workloads.api import Counting, Progress
from workloads.banking import chain, facts, images, pages
from workloads.banking.compile import GROUPS, REQUESTS_PER_PAGE, UNDER_WAY, compile_tape, connects_per_s


class Banking:
    """A workload of `loadgen spec`."""

    def compile(self, plan: SpecPlan) -> OpTape:
        """One circular tape that all connections share; see :func:`workloads.banking.compile.compile_tape`."""
        return compile_tape(plan, users(plan))

    def timings(self, plan: SpecPlan) -> None:
        """None: pages overlap with none, but the time of one depends on how its images share two lines."""

    def counting(self, plan: SpecPlan) -> Counting:
        """Kinds are pages.

        The number of TCP connections is not judged: which requests share one depends on which of two is free.
        """
        return Counting(
            kinds=facts.KINDS,
            groups=GROUPS,
            kind_shares=chain.SHARES,
            unmixed=(UNDER_WAY,),
            lanes=facts.PARALLEL_CONNECTIONS,
            requests=REQUESTS_PER_PAGE,
        )

    def connects_per_s(self, plan: SpecPlan) -> float:
        """From the mean time between the pages of a user, and the requests of a page."""
        return connects_per_s(plan.line_bps)

    def files(self, plan: SpecPlan) -> ImagesNeeded:
        """The images, which are the same for any plan."""
        return ImagesNeeded()

    def check(self, plan: SpecPlan) -> None:
        """None: the servers keep no log."""


def users(plan: SpecPlan) -> int:
    """The user ids of the server that has most sessions."""
    weights = [target.weight for target in plan.targets] or [1] * plan.vms
    return min(pages.MAX_USERS, facts.USERS_PER_SESSION * max(share_out(plan.total_connections, weights)))


@dataclass(frozen=True, slots=True)
class ImagesNeeded:
    """The images, and the application; a :class:`workloads.api.ServerFiles`."""

    @property
    def extent(self) -> str:
        """The number of images, as a phrase."""
        return f"{len(images.FILES)} images"

    @property
    def size_bytes(self) -> int:
        """The size of all files of one document root."""
        return images.LAYOUT.directory_bytes

    @property
    def proof_path(self) -> str:
        """The last image."""
        return f"/{images.name(len(images.FILES) - 1)}"

    @property
    def app(self) -> str:
        """The reference server's application factory, as `module:function`."""
        return "workloads.banking.app:vm_app"

    @property
    def app_path(self) -> str:
        """The first page."""
        return pages.SITE.path(facts.LOGIN, 0)

    def prepare(self, root: Path, progress: Progress) -> int:
        """Make the images if they are missing; see :func:`workloads.fileset.ensure`."""
        return fileset.ensure(images.LAYOUT, root, 1, progress).made

    def copy(self, source: Path, root: Path, progress: Progress) -> None:
        """Copy the images to another root, for a VM of its own."""
        fileset.copy(images.LAYOUT, fileset.FileSet(source, 1, made=0), root, progress)

    def verify(self, root: Path) -> list[str]:
        """Compare every byte; returns one line for each error that was found."""
        return fileset.verify(images.LAYOUT, root, 1)
