from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from coordinator.record.environment import Environment, collect, git_commit


def test_this_machine_is_described_and_read_back() -> None:
    found = collect(command_line=["loadgen", "spec"], server={"kind": "nginx", "config": "worker_processes 1;"})
    assert Environment.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert found.kernel == os.uname().release
    assert 1 <= found.cores_usable <= found.cores
    assert found.memory_bytes > 1 << 20
    assert found.sysctls["net.ipv4.ip_local_port_range"].count(" ") == 1
    assert {"numpy", "uvloop"} <= set(found.libraries)
    assert found.command_line == ("loadgen", "spec")


def test_a_machine_without_information_is_no_error(tmp_path: Path) -> None:
    found = collect(command_line=[], proc=tmp_path)
    assert (found.memory_bytes, found.sysctls) == (0, {})


def test_the_files_of_proc_are_read(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Fast CPU @ 3 GHz: new\nmodel name\t: other\n")
    (tmp_path / "meminfo").write_text("MemTotal:        2048 kB\nMemFree: 1 kB\n")
    (tmp_path / "sys/net/core").mkdir(parents=True)
    (tmp_path / "sys/net/core/somaxconn").write_text("4096\n")
    found = collect(command_line=[], proc=tmp_path)
    assert found.cpu == "Fast CPU @ 3 GHz: new"
    assert found.memory_bytes == 2 << 20
    assert found.sysctls == {"net.core.somaxconn": "4096"}


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git here")
def test_the_commit_of_a_checkout(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=x", "-c", "user.email=x@localhost", "-c", "commit.gpgsign=false"]
        return subprocess.check_output(["git", *identity, *arguments], cwd=tmp_path, text=True).strip()

    assert git_commit(tmp_path) == ""
    git("init", "-q")
    assert git_commit(tmp_path) == ""
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-qm", "one")
    assert git_commit(tmp_path) == git("rev-parse", "HEAD")
    (tmp_path / "file").write_text("2")
    assert git_commit(tmp_path) == git("rev-parse", "HEAD") + "+changes"
