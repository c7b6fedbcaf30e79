"""`loadgen spec` with virtual machines: a smoke test of the whole way, with the application in the VMs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadgen.model.emulated import EMULATED
from tests.support.cli import loadgen
from tests.support.qemu import needs_qemu

QUICK = ("--connections", "2", "--iterations", "1", "--ramp-up", "1s", "--warmup", "1s", "--duration", "3s")


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a temporary directory with a short path, because a unix socket's path is limited."""
    with tempfile.TemporaryDirectory(prefix="lq") as path:
        monkeypatch.setenv("TMPDIR", path)
        yield Path(path)


@needs_qemu
def test_a_run_on_emulated_vms_is_marked_and_has_no_score(short: Path, tmp_path: Path) -> None:
    """VMs take as long to start as the machine needs; the limit is far away."""
    record = tmp_path / "record"
    asked = ("spec", "--vms", "2", "--vm-driver", "qemu", "--server", "auto", *QUICK, "--out", record, "--json")
    done = loadgen(*asked, cache=tmp_path / "cache", cwd=tmp_path, timeout_s=400)
    found = done.document
    server = found["environment"]["server"]
    assert server["driver"] == "qemu"
    assert len(server["started"]) == 2
    assert [target["ops_per_s"] > 0 for target in found["targets"]] == [True] * 2, done.err
    assert not list(short.iterdir())
    shown = loadgen("show", record, cache=tmp_path / "cache", cwd=tmp_path)
    assert f"kernel {server['machine'].rpartition(' ')[2]}" in shown.out
    if server["emulated"]:
        assert done.code == 3
        assert found["verdict"] == "INVALID"
        assert f"VMs: {EMULATED}." in found["reasons"]
        assert found["conforming_connections"] is None
        assert EMULATED in shown.out
    else:
        assert EMULATED not in shown.out


@needs_qemu
def test_a_limit_that_a_machine_cannot_have_is_one_line(tmp_path: Path) -> None:
    asked = ("spec", "--vms", "2", "--vm-driver", "qemu", "--vm-pids", "64")
    done = loadgen(*asked, cache=tmp_path / "cache", cwd=tmp_path)
    assert done.code == 2
    assert done.err.splitlines()[0] == ("loadgen: the VM driver qemu cannot limit pids: VMs get CPUs and memory only")
