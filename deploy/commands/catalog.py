"""The environments of `loadgen relative`, by name: this machine itself, and VM drivers that can run a command.

To add one: write a class that keeps :class:`deploy.commands.api.Environment` and add an entry here.
"""

from __future__ import annotations

from deploy.commands.api import Environment
from loadgen.model.entry import Entry
from loadgen.model.errors import PlanError

ENVIRONMENTS = {
    "bare": Entry("deploy.commands.here:Bare", "this machine itself, without limits"),
    "ns": Entry("deploy.commands.here:Ns", "namespaces and cgroups of this machine, as root"),
    "oci": Entry("deploy.commands.containers:Oci", "containers of Docker or podman"),
}
"""By name: the class, which is imported when it is used, and its description in `loadgen relative --help`."""


def choose(name: str) -> Environment:
    """The environment of that name, imported now; raises PlanError for an unknown name."""
    if name not in ENVIRONMENTS:
        raise PlanError(f"there is no environment {name!r}", hint=f"choose one of {', '.join(ENVIRONMENTS)}")
    environment: Environment = ENVIRONMENTS[name].load()()
    return environment
