"""A container engine, Docker or podman, through the Docker SDK: images, and containers started and removed."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deploy.oci.image import Image
from deploy.oci.owner import RUN, VM, is_leftover
from loadgen.model.errors import PlanError, TargetError
from loadgen.model.limits import VmLimits

_REPOSITORY = "localhost/loadgen-vm"
_TIMEOUT_S = 120
_PING_S = 3
_REMOVED_S = 20.0
_AGAIN_S = 0.05
_ATTEMPTS = 10
_ANY_VERSION = "1.24"  # only to ask which version the engine has, without a version in the path
_SOCKETS = ("/var/run/docker.sock", "/run/podman/podman.sock")


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """What a container is made of.

    `mounts` are paths of this machine that it sees under the same names; True for those that it may write to.
    `disk` is the device node whose rate is limited, "" for none.  `network` is `host`, or `none` for a loopback device
    only.  With `kept`, the container stays when it has ended: podman skips all fsync() in one that removes itself.
    """

    name: str
    vm: str
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    labels: Mapping[str, str]
    mounts: Mapping[str, bool]
    limits: VmLimits
    disk: str = ""
    cgroup_parent: str = ""
    network: str = "host"
    kept: bool = False


class Engine:
    """An engine at the path of a unix socket.

    The methods may be called from several threads, after :meth:`connect`.  They raise TargetError.
    """

    def __init__(self, path: str) -> None:
        """An engine that is not connected yet."""
        self._path = path
        self._client: Any = None
        self._program = "docker"
        self.version = ""
        """Name and version, such as `podman 4.3.1`; known once it is connected."""

    def connect(self, timeout_s: float = _TIMEOUT_S) -> None:
        """Connect to the engine, and take the version of its interface."""
        url = f"unix://{self._path}"
        with _explained("the container engine does not answer"):
            asking = _docker().APIClient(base_url=url, version=_ANY_VERSION, timeout=timeout_s)
            try:
                said = asking.version(api_version=False)
            finally:
                asking.close()
            self._client = _docker().DockerClient(base_url=url, version=said["ApiVersion"], timeout=timeout_s)
        names = [str(one.get("Name", "")) for one in said.get("Components") or ()]
        kind = "podman" if any("podman" in name.lower() for name in names) else "Docker"
        self._program = kind.lower()
        self.version = f"{kind} {said.get('Version', '')}"

    def take_image(self, image: Image) -> str:
        """The name of the image in the engine, which gets it if it does not have it yet."""
        name = f"{_REPOSITORY}:{image.digest}"
        with _explained("the container engine does not take the image"):
            if not self._client.images.list(filters={"reference": name}):
                said = self._client.api.import_image_from_data(image.tar, repository=_REPOSITORY, tag=image.digest)
                # podman gives it the tag `latest`; Docker and podman write the id at the end of their answer.
                found = said.rpartition("sha256:")[2].partition('"')[0]
                self._client.api.tag(f"sha256:{found}", _REPOSITORY, image.digest)
        return name

    def start(self, container: Container) -> None:
        """Make and start a container, which the engine removes when it has ended, unless it is kept."""
        api = self._client.api
        host = api.create_host_config(
            network_mode=container.network,
            auto_remove=not container.kept,
            security_opt=["label=disable"],  # otherwise SELinux forbids what is mounted
            mounts=[
                _docker().types.Mount(path, path, type="bind", read_only=not writable)
                for path, writable in container.mounts.items()
            ],
            ulimits=_ulimits(),
            cgroup_parent=container.cgroup_parent or None,
            **limits_of(container.limits, container.disk),
        )
        host["CgroupnsMode"] = "host"  # so that a container knows the names of its cgroups
        with _explained(f"{container.vm}: the engine does not start its container"):
            made = api.create_container(
                container.image,
                list(container.command),
                name=container.name,
                hostname=container.vm if container.network == "none" else None,
                environment=dict(container.environment),
                labels={**container.labels, VM: container.vm},
                host_config=host,
            )
            api.start(made["Id"])

    def running(self, run: str) -> set[str]:
        """The VMs whose containers with this label of a run have not ended."""
        found = self._containers(f"{RUN}={run}")
        return {one["Labels"].get(VM, "") for one in found if one["State"] in ("created", "running")}

    def remove_run(self, run: str) -> None:
        """Remove the containers with this label of a run; those that run have been asked to end."""
        self._client.api.timeout = _REMOVED_S  # the run is over; nobody waits for two minutes now
        deadline = time.monotonic() + _REMOVED_S
        patient_until = time.monotonic() + _REMOVED_S / 10
        while found := self._containers(f"{RUN}={run}"):
            if time.monotonic() > deadline:
                names = " ".join(str(one["Names"][0]).lstrip("/") for one in found)
                raise TargetError(
                    f"the container engine has not removed {names} within {_REMOVED_S:g} s",
                    hint=f"the next run with containers removes what is left; or: {self._program} rm --force {names}",
                )
            self._remove(one for one in found if one["State"] != "running" or time.monotonic() > patient_until)
            time.sleep(_AGAIN_S)

    def sweep(self) -> None:
        """Remove the containers of runs that were killed."""
        self._remove(one for one in self._containers(RUN) if is_leftover(one.get("Labels") or {}))

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._client is not None:
            self._client.close()

    def _containers(self, label: str) -> list[dict[str, Any]]:
        """The containers with a label.  podman fails when one of them is removed meanwhile, so this tries again."""
        for attempt in range(_ATTEMPTS):
            try:
                with _explained("the container engine does not list its containers"):
                    found: list[dict[str, Any]] = self._client.api.containers(all=True, filters={"label": label})
            except TargetError as error:
                if attempt + 1 == _ATTEMPTS or not isinstance(error.__cause__, _docker().errors.APIError):
                    raise  # an engine that does not answer at all would take its time again
                time.sleep(_AGAIN_S)
            else:
                break
        return found

    def _remove(self, found: Iterator[dict[str, Any]]) -> None:
        for one in found:
            with _explained("the container engine does not remove a container"):
                with contextlib.suppress(_docker().errors.APIError):  # it does not run
                    self._client.api.kill(one["Id"])
                with contextlib.suppress(_docker().errors.APIError):  # it is gone, or being removed
                    self._client.api.remove_container(one["Id"], force=True, v=True)


def find_socket() -> str:
    """The socket of the engine that runs on this machine; "" when none answers.  Raises PlanError.

    It is that of the variable DOCKER_HOST, if that is set, else of Docker or podman at their usual places.
    """
    _docker()  # without it, nothing answers
    given = os.environ.get("DOCKER_HOST", "")
    if given:
        kind, _, path = given.partition("://")
        if kind != "unix":
            raise PlanError(
                f"DOCKER_HOST is {given}, but VMs need a container engine on this machine",
                hint="set it to unix:///PATH, or unset it",
            )
        if not answers(path):
            raise PlanError(
                f"no container engine answers at DOCKER_HOST={given}", hint="start it, or unset DOCKER_HOST"
            )
        return path
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    places = [*_SOCKETS, *([f"{runtime}/podman/podman.sock"] if runtime else [])]
    return next((path for path in places if os.access(path, os.W_OK) and answers(path)), "")


def answers(path: str) -> bool:
    """Whether an engine answers at the path of a unix socket."""
    try:
        with socket.socket(socket.AF_UNIX) as trial:  # the SDK does not close a socket that is refused
            trial.settimeout(_PING_S)  # an engine that hangs accepts nothing
            trial.connect(path)
        engine = Engine(path)
        try:
            engine.connect(_PING_S)
        finally:
            engine.close()
    except (OSError, TargetError):
        return False
    return True


def _docker() -> Any:
    """The Docker SDK, which is optional; raises PlanError when it is not installed."""
    try:
        import docker
    except ImportError:
        raise PlanError(
            "containers need the Python package docker",
            hint="install loadgen with its extra oci, or: pip install 'docker>=7.1,<8'",
        ) from None
    return docker


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn an error of the SDK into a TargetError that begins with `what`."""
    from requests.exceptions import RequestException

    try:
        yield
    except (_docker().errors.DockerException, RequestException) as error:
        said = getattr(error, "explanation", None) or error
        raise TargetError(f"{what}: {said}") from error


def _ulimits() -> list[Any]:
    """The limits of this process: an engine's defaults may be higher, and then need a privilege."""
    limits = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
    hard = {name: resource.getrlimit(number)[1] for name, number in limits.items()}
    return [_docker().types.Ulimit(name=name, soft=limit, hard=limit) for name, limit in hard.items()]


def limits_of(limits: VmLimits, disk: str) -> dict[str, Any]:
    """Limits in the words of the SDK.  Without a limit of processes, an engine may have one of its own."""
    found: dict[str, Any] = {"pids_limit": limits.pids or 0}
    if limits.cpus is not None:
        found["nano_cpus"] = round(limits.cpus * 1e9)
    if limits.cpu_shares is not None:
        found["cpu_shares"] = limits.cpu_shares
    if limits.memory_bytes is not None:
        found |= {"mem_limit": limits.memory_bytes, "memswap_limit": limits.memory_bytes}
    if limits.disk_bytes_per_s is not None:
        rate = [{"Path": disk, "Rate": limits.disk_bytes_per_s}]
        found |= {"device_read_bps": rate, "device_write_bps": rate}
    return found
