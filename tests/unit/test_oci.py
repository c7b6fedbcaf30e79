"""Containers as VMs: the parts without an engine."""

from __future__ import annotations

import io
import os
import sys
import tarfile
from pathlib import Path

import pytest

from deploy.limits.hierarchy import Controller
from deploy.oci import engine
from deploy.oci.groups import check_granted, group_of
from deploy.oci.image import build_image, is_below, python_paths, with_links
from deploy.oci.libraries import mapped_files
from deploy.oci.owner import OWNER, PLACE, RUN, is_leftover, labels
from deploy.oci.service import prepare_service
from deploy.vms.oci import Oci
from loadgen.model.errors import PlanError, TargetError
from loadgen.model.limits import VmLimits
from loadgen.model.plan import Server
from tests.support.vms import vm_request


def names_in(tar: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as read:
        return {one.name: one for one in read}


# --- the image


def test_a_path_is_given_with_each_link_on_its_way(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    (root / "usr" / "lib").mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")
    (root / "usr" / "lib" / "x.so.1").touch()
    (root / "lib" / "x.so").symlink_to("../lib/x.so.1")
    (root / "abs").symlink_to(root / "lib")
    assert list(with_links(f"{root}/abs/x.so")) == [
        f"{root}/abs",
        f"{root}/lib",
        f"{root}/usr/lib/x.so",
        f"{root}/usr/lib/x.so.1",
    ]
    assert list(with_links(f"{root}/usr/lib/x.so.1")) == [f"{root}/usr/lib/x.so.1"]


def test_a_link_to_itself_ends(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert len(list(with_links(f"{tmp_path}/loop"))) <= 257


def test_the_image_has_programs_and_their_libraries_but_no_files_of_python() -> None:
    image = build_image(["/bin/sh"], "")
    found = names_in(image.tar)
    assert os.path.realpath("/bin/sh").lstrip("/") in found
    assert any(name.rpartition("/")[2].startswith("libc.so") for name in found)
    assert any("python" in name for name in found)
    assert not any(is_below(f"/{name}", python_paths()) for name in found)
    assert found["tmp"].mode == 0o1777
    assert not [name for name in found if f"/{name}".startswith(sys.prefix + "/")]


def test_equal_files_make_an_equal_image_and_other_files_another(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"one")
    first = build_image([str(program)], "")
    os.utime(program, (1, 1))
    assert build_image([str(program)], "").digest == first.digest
    program.write_bytes(b"two")
    assert build_image([str(program)], "").digest != first.digest


def test_an_application_that_cannot_be_imported_is_named() -> None:
    with pytest.raises(TargetError, match=r"does not run the application of the VMs no\.such:app: ModuleNotFoundError"):
        build_image([], "no.such:app")


def test_mapped_programs_and_libraries_are_found() -> None:
    maps = """\
55d0-55d1 r--p 00000000 fe:00 12 /usr/bin/python3.11
55d1-55d2 r-xp 00001000 fe:00 12 /usr/bin/python3.11
7f00-7f01 r-xp 00000000 fe:00 13 /usr/lib/with blank.so
7f01-7f02 r--p 00000000 fe:00 14 /usr/lib/locale/C.utf8/LC_CTYPE
7ffc-7ffd r-xp 00000000 00:00 0 [vdso]
"""
    assert mapped_files(maps) == ("/usr/bin/python3.11", "/usr/lib/with blank.so")


# --- cgroups


def test_the_cgroups_of_a_container_are_those_that_its_first_process_names(tmp_path: Path) -> None:
    for place in ("cpu/loadgen/1/a", "blkio/loadgen/1/a", "unified/loadgen/1/a"):
        (tmp_path / place).mkdir(parents=True)
    controllers = {
        "cpu": Controller(1, tmp_path / "cpu"),
        "io": Controller(1, tmp_path / "blkio"),
        "pids": Controller(2, tmp_path / "unified"),
        "memory": Controller(1, tmp_path / "memory"),
    }
    said = "4:memory:/gone\n3:blkio:/loadgen/1/a\n2:cpu,cpuacct:/loadgen/1/a\n0::/loadgen/1/a\n"
    group = group_of("vm01", said, controllers)
    assert group.places == {
        "cpu": tmp_path / "cpu/loadgen/1/a",
        "io": tmp_path / "blkio/loadgen/1/a",
        "pids": tmp_path / "unified/loadgen/1/a",
    }
    assert group.versions == {"cpu": 1, "io": 1, "pids": 2}
    assert group_of("vm01", "", controllers).places == {}


def test_limits_are_read_from_the_scope_above_the_container(tmp_path: Path) -> None:
    (tmp_path / "machine.slice/libpod-1.scope/container").mkdir(parents=True)
    group = group_of("a", "0::/machine.slice/libpod-1.scope/container\n", {"pids": Controller(2, tmp_path)})
    assert group.places["pids"] == tmp_path / "machine.slice/libpod-1.scope"


def test_the_root_of_a_hierarchy_is_no_group_of_a_vm(tmp_path: Path) -> None:
    assert group_of("a", "0::/\n", {"pids": Controller(2, tmp_path)}).places == {}


def test_a_limit_that_the_engine_did_not_set_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "pids.max").write_text("5\n")
    group = group_of("vm01", "0::/one\n", {"pids": Controller(2, tmp_path), "memory": Controller(2, tmp_path)})
    check_granted(group, VmLimits(pids=5))
    with pytest.raises(TargetError, match="vm01: the container engine has not set the limit memory_bytes"):
        check_granted(group, VmLimits(pids=5, memory_bytes=64 << 20))


# --- owners


def test_containers_of_a_process_that_has_ended_are_leftovers() -> None:
    ours = labels()
    assert not is_leftover(ours)
    assert is_leftover({**ours, OWNER: f"{os.getpid()}-1"})
    assert not is_leftover({**ours, OWNER: f"{os.getpid()}-1", PLACE: "another boot"})
    assert not is_leftover({RUN: "1"})
    assert not is_leftover({**ours, OWNER: "x-y"})


# --- what is missing is one clear line


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine answers, and podman is not installed."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("deploy.oci.engine._SOCKETS", ("/no/such/socket",))
    monkeypatch.setattr("deploy.oci.finding.find_podman", lambda: None)


def why_not(limits: VmLimits | None = None) -> PlanError:
    with pytest.raises(PlanError) as caught:
        Oci().prepare(vm_request([Path("/")], server=Server.BUILTIN, limits=limits or VmLimits()))
    return caught.value


def test_without_an_engine_the_error_says_what_to_install(alone: None) -> None:
    error = why_not()
    assert "no socket of Docker or podman answers, and podman is not installed" in error.message
    assert error.hint == "install podman (Debian: apt-get install podman), or start Docker"


def test_without_the_sdk_the_error_says_what_to_install(alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "docker", None)
    error = why_not()
    assert (error.message, error.hint) == (
        "containers need the Python package docker",
        "install loadgen with its extra oci, or: pip install 'docker>=7.1,<8'",
    )


@pytest.mark.parametrize("host", ["tcp://192.0.2.1:2375", "ssh://there", "nonsense"])
def test_an_engine_on_another_machine_is_refused(host: str, alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    error = why_not()
    assert error.message == f"DOCKER_HOST is {host}, but VMs need a container engine on this machine"


def test_a_given_engine_that_does_not_answer_is_named(
    alone: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert why_not().message == f"no container engine answers at DOCKER_HOST=unix://{tmp_path}/none.sock"


def test_a_service_without_root_cannot_limit_vms(alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.oci.finding.find_podman", lambda: "/usr/bin/podman")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    error = why_not(VmLimits(pids=5))
    assert error.message == "podman cannot limit VMs without root (pids)"
    assert error.hint == "run loadgen as root, or leave out the limits"


def test_without_root_the_service_has_a_user_namespace_and_no_cgroups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    command = prepare_service("/usr/bin/podman", tmp_path / "a b", 4)
    assert "--map-root-user" in command
    assert "_CONTAINERS_USERNS_CONFIGURED" in command[-1]
    assert f"cd '{tmp_path}/a b'" in command[-1]
    assert 'cgroups = "disabled"' in (tmp_path / "a b" / "containers.conf").read_text()
    monkeypatch.setattr("os.geteuid", lambda: 0)
    command = prepare_service("/usr/bin/podman", tmp_path / "root", 4)
    assert "--map-root-user" not in command
    assert "_CONTAINERS_USERNS_CONFIGURED" not in command[-1]  # podman would ignore the limits


def test_limits_are_given_in_the_words_of_the_engine() -> None:
    limits = VmLimits(cpus=0.5, cpu_shares=512, memory_bytes=64 << 20, pids=7, disk_bytes_per_s=1 << 20)
    rate = [{"Path": "/dev/vda", "Rate": 1 << 20}]
    assert engine.limits_of(limits, "/dev/vda") == {
        "nano_cpus": 500_000_000,
        "cpu_shares": 512,
        "mem_limit": 64 << 20,
        "memswap_limit": 64 << 20,
        "pids_limit": 7,
        "device_read_bps": rate,
        "device_write_bps": rate,
    }
    assert engine.limits_of(VmLimits(), "") == {"pids_limit": 0}
