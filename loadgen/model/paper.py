"""The plan of `loadgen paper`: which of the paper's experiments are played, and for how long."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from loadgen.model.errors import PlanError
from loadgen.model.plain import from_plain, to_plain
from loadgen.model.plan import Server
from loadgen.model.relative import check_environments

MAX_ENGINES = 1024


class Experiment(enum.Enum):
    """An experiment of the paper, in the order of play; the value is its word in `--steps` and in records."""

    SPEC = "spec"  # Figure 4, with the VM driver of the plan
    SPEC_OCI = "spec-oci"  # the same in containers of Docker or podman
    CAPACITY = "capacity"  # the greatest number of connections to one VM, for Figure 4
    TCP = "tcp"  # Table 3
    FORWARD = "forward"
    PACK = "pack"
    ISOLATE = "isolate"
    DBENCH = "dbench"  # Figure 3
    COMPILE = "compile"  # Figure 3
    MICRO = "micro"  # Tables 1 and 2
    POSTGRESQL = "postgresql"


class Profile(enum.Enum):
    """How long the experiments take."""

    QUICK = "quick"  # together less than 20 minutes on two cores
    FULL = "full"  # with the repetitions and durations of the paper


STEPS = {
    Profile.QUICK: tuple(one for one in Experiment if one is not Experiment.CAPACITY),  # it alone takes ten minutes
    Profile.FULL: tuple(Experiment),
}
"""The experiments of each profile, unless others are asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperPlan:
    """A `loadgen paper` run: the experiments `steps`, one after the other.

    `vm_driver` makes the VMs of the experiments spec and pack.  `server` is the web server of all VMs.  `peer` is the
    host of a server of `loadgen iperf --server` or iperf3 at port `peer_port`, for the experiment tcp; with "", that
    experiment has a lab on this machine.  `environments` are those of the experiments that play a command, as in
    :class:`loadgen.model.relative.RelativePlan`.  `engines` is the number of engine processes.
    """

    profile: Profile = Profile.QUICK
    steps: tuple[Experiment, ...] = STEPS[Profile.QUICK]
    vm_driver: str = "local"
    server: Server = Server.AUTO
    peer: str = ""
    peer_port: int = 5201
    environments: tuple[str, ...] = ("bare", "ns")
    engines: int = 1
    seed: int = 1

    def __post_init__(self) -> None:
        if not self.steps:
            raise PlanError("there is no experiment to play", hint=f"give some with --steps: {_words(Experiment)}")
        if len(set(self.steps)) != len(self.steps):
            raise PlanError(f"an experiment is given twice: {_words(self.steps)}")
        check_environments(self.environments)
        if not 1 <= self.peer_port <= 65535:
            raise PlanError(f"the port of the peer must be 1 to 65535, got {self.peer_port}")
        if not 1 <= self.engines <= MAX_ENGINES:
            raise PlanError(f"engines must be 1 to {MAX_ENGINES}, got {self.engines}")
        if self.seed < 0:
            raise PlanError(f"seed must not be negative, got {self.seed}")

    @property
    def in_order(self) -> tuple[Experiment, ...]:
        """The experiments in the order of play, whatever the order in which they were given."""
        return tuple(one for one in Experiment if one in self.steps)

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain data (for JSON and TOML); :meth:`from_dict` reads it back to an equal plan."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    @classmethod
    def from_dict(cls, data: object) -> PaperPlan:
        """The plan that plain data describes.  Raises PlanError that names the field that is wrong."""
        return from_plain(cls, data)


def parse_experiments(text: str) -> tuple[Experiment, ...]:
    """The experiments of a text like `spec,tcp`, or `all`.  Raises PlanError."""
    known = {one.value: one for one in Experiment}
    words = [word.strip() for word in text.split(",")]
    if words == ["all"]:
        return tuple(Experiment)
    for word in words:
        if word not in known:
            raise PlanError(
                f"{word!r} is not an experiment of the paper", hint=f"choose from {', '.join(known)}, or give all"
            )
    return tuple(known[word] for word in words)


def _words(experiments: tuple[Experiment, ...] | type[Experiment]) -> str:
    return ",".join(one.value for one in experiments)
