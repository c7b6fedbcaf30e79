"""Containers in tests: the mark of tests that need podman, and an engine that is not loadgen's own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import pytest

from deploy.limits.hierarchy import mounts_here
from deploy.limits.removal import remove_groups
from deploy.oci.engine import answers
from deploy.oci.service import SOCKET, find_podman, prepare_service
from tests.support.vms import within

REASON = "" if find_podman() else "podman is not installed"

needs_engine = pytest.mark.skipif(
    bool(REASON) and os.environ.get("CI") != "true", reason=REASON or "podman is installed"
)


@contextmanager
def running_engine(directory: Path) -> Iterator[Any]:
    """Run podman as an engine that serves others, too; return a client of it.  It ends with all its containers."""
    podman = find_podman()
    assert podman is not None
    service = directory / "service"
    before = engine_groups()
    _, *command = prepare_service(podman, service, 16)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            assert within(60, lambda: answers(str(service / SOCKET)))
            with contextlib.closing(docker.DockerClient(base_url=f"unix://{service / SOCKET}", timeout=120)) as client:
                yield client
        finally:
            os.kill(running.pid, signal.SIGKILL)  # --kill-child ends the others
            running.wait()
            assert remove_groups(str(group) for group in engine_groups() - before) == []


def engine_groups() -> set[Path]:
    """Return the cgroups that podman makes for containers, and does not remove with them."""
    return {group for found in mounts_here() for group in found.root.glob("libpod_parent/*") if group.is_dir()}


def names_in(client: Any) -> list[str] | None:
    """Return the names of all containers; None while one of them is removed, when podman's answer is an error."""
    try:
        return [str(one["Names"][0]).lstrip("/") for one in client.api.containers(all=True)]
    except docker.errors.APIError:
        return None
