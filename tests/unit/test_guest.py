"""The parts of virtual machines: kernel, first file system, libraries, command line, QMP, and the boot probe."""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.guest import boot
from deploy.guest.archive import pack
from deploy.guest.boot import BOOTED, START, start_script
from deploy.guest.disk import make_root
from deploy.guest.kernel import Kernel, find_kernel
from deploy.guest.libraries import libraries_of
from deploy.guest.machine import KVM, TCG, Machine, Qemu, command, find_qemu
from deploy.guest.probe import boots, why_no_kvm
from deploy.guest.python import runtime_of
from deploy.guest.qmp import ask
from loadgen.model.errors import PlanError, TargetError

QEMU = Qemu(program="/usr/bin/qemu-system-x86_64", version="7.2.0")
KERNEL = Kernel(image=Path("/boot/vmlinuz-6.1"), release="6.1", modules=(Path("/lib/modules/6.1/virtio.ko"),))


# --- the kernel


def install(root: Path, release: str, modules: str, builtin: str = "kernel/fs/ext4/ext4.ko\n") -> Path:
    """Pretend that a kernel is installed below `root`; returns its image."""
    directory = root / "lib/modules" / release
    directory.mkdir(parents=True)
    (directory / "modules.dep").write_text(modules)
    (directory / "modules.builtin").write_text(builtin)
    image = root / "boot" / f"vmlinuz-{release}"
    image.parent.mkdir(exist_ok=True)
    image.touch()
    return image


DEP = (
    "a/virtio_mmio.ko.xz: a/virtio.ko.xz a/virtio_ring.ko.xz\n"
    "a/virtio-blk.ko.xz: a/virtio.ko.xz a/virtio_ring.ko.xz\n"
    "a/virtio_net.ko.xz: a/net_failover.ko.xz a/failover.ko.xz a/virtio.ko.xz a/virtio_ring.ko.xz\n"
    "a/overlay.ko.xz:\na/virtio.ko.xz:\na/virtio_ring.ko.xz:\na/net_failover.ko.xz:\na/failover.ko.xz:\n"
)


def test_the_modules_of_a_kernel_come_behind_those_that_they_need(tmp_path: Path) -> None:
    install(tmp_path, "6.1", DEP)
    found = [path.name.partition(".")[0] for path in find_kernel(tmp_path).modules]
    assert found == [
        *("virtio_ring", "virtio", "virtio_mmio", "virtio-blk"),
        *("failover", "net_failover", "virtio_net", "overlay"),
    ]


def test_the_running_kernel_is_preferred_if_it_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "6.1", DEP)
    install(tmp_path, "6.9", DEP)
    for release in ("6.1", "6.9"):
        monkeypatch.setattr(os, "uname", lambda release=release: os.uname_result(("", "", release, "", "")))
        assert find_kernel(tmp_path).release == release
    install(tmp_path, "7.0", "a/virtio_net.ko:\n")
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("", "", "7.0", "", "")))
    assert find_kernel(tmp_path).release in ("6.1", "6.9")


def test_without_a_kernel_the_reason_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PlanError, match="no kernel is installed") as caught:
        find_kernel(tmp_path)
    assert "linux-image" in caught.value.hint
    image = install(tmp_path, "6.1", DEP.replace("overlay", "underlay"))
    with pytest.raises(PlanError, match=r"the kernel 6\.1 has no overlay"):
        find_kernel(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PlanError, match=f"this user may not read {image}"):
        find_kernel(tmp_path)


# --- files


def unpacked(archive: bytes) -> dict[str, tuple[int, bytes]]:
    """Read an archive in the format `newc`, as the kernel does: mode and content by name."""
    found: dict[str, tuple[int, bytes]] = {}
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        name_at = at + 110
        name = archive[name_at : name_at + fields[11] - 1].decode()
        data_at = name_at + fields[11] + (-(name_at + fields[11]) % 4)
        if name == "TRAILER!!!":
            return found
        found[name] = fields[1], archive[data_at : data_at + fields[6]]
        at = data_at + fields[6] + (-(data_at + fields[6]) % 4)


def test_an_archive_has_each_directory_before_what_is_in_it() -> None:
    found = unpacked(pack({"/init": b"#!/bin/sh\n", "/lib/x/y.so": b"12345"}, ("/dev",)))
    assert list(found) == ["dev", "lib", "lib/x", "init", "lib/x/y.so"]
    assert found["init"] == (stat.S_IFREG | 0o755, b"#!/bin/sh\n")
    assert found["lib/x/y.so"][1] == b"12345"
    assert found["dev"] == (stat.S_IFDIR | 0o755, b"")


def test_the_libraries_of_a_program_are_those_that_it_loads() -> None:
    program = os.path.realpath(sys.executable)
    found = libraries_of(program)
    assert any("/libc.so" in path for path in found)
    assert all(Path(path).is_file() and ".." not in path for path in found)


def test_a_script_is_not_run_to_find_its_libraries(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {tmp_path}/was-run\n")
    script.chmod(0o755)
    assert libraries_of(str(script)) == set()
    assert not (tmp_path / "was-run").exists()


def test_the_python_of_an_application_starts_with_its_own_files_only(tmp_path: Path) -> None:
    """In a directory of copies, so that nothing else of this Python is found."""
    runtime = runtime_of("deploy.trial:application")
    assert not [path for path in runtime.files if not Path(path).is_file()]
    make_root(tmp_path, sorted(runtime.files), {START: b"start"}, ("/docroot",))
    assert (tmp_path / START.lstrip("/")).stat().st_mode & 0o111
    paths = os.pathsep.join(f"{tmp_path}{path}" for path in runtime.environment["PYTHONPATH"].split(os.pathsep))
    done = subprocess.run(
        [*runtime.command[:3], "-c", "import deploy.guest.app, deploy.trial; print(deploy.trial.__file__)"],
        env={"PYTHONHOME": f"{tmp_path}{runtime.environment['PYTHONHOME']}", "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith(f"{tmp_path}/"), done.stderr


def test_an_application_that_cannot_be_imported_is_named() -> None:
    with pytest.raises(PlanError, match="the application no_such_app:make cannot be imported: ModuleNotFoundError"):
        runtime_of("no_such_app:make")


def test_a_web_server_waits_for_its_application() -> None:
    script = start_script({"app": ["python", "-m", "x y"], "nginx": ["nginx"]}, {"A": "b c"}, "/run/vm/app.sock")
    lines = script.splitlines()
    app, wait, nginx = (lines.index(line) for line in lines if line.startswith(("run app", "until", "run nginx")))
    assert app < wait < nginx
    assert lines[app] == "run app python -m 'x y' &"
    assert lines.index("export 'A=b c'") < app
    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0


# --- QEMU


def test_only_an_emulated_cpu_is_told_its_rate() -> None:
    def argv(accelerator: str) -> str:
        machine = Machine(accelerator=accelerator, vcpus=2, memory_bytes=160 << 20, disks=(Path("/a,b"),))
        return " ".join(command(QEMU, KERNEL, Path("/initrd"), machine, {"lg_name": "vm01"}, Path("/vm01/qmp")))

    assert "tsc_early_khz=" in argv(TCG)
    assert "tsc_early_khz=" not in argv(KVM)
    for accelerator in (KVM, TCG):
        said = argv(accelerator)
        assert f"microvm,accel={accelerator},rtc=on" in said
        assert "-smp 2 -m 160M" in said
        assert "readonly=on,file=/a,,b" in said
        assert "lg_name=vm01" in said
        assert "-netdev" not in said


def test_another_architecture_is_refused() -> None:
    with pytest.raises(PlanError, match="runs on x86_64 only, and this machine is aarch64"):
        find_qemu("aarch64")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (f"echo '[0.1] {BOOTED}'; exec sleep 60", ""),
        ("echo 'sh: error: no luck'; echo 'more'", "no luck"),
        ("exit 1", "QEMU ended without a message"),
    ],
)
def test_a_probe_ends_with_what_a_guest_says(script: str, reason: str) -> None:
    assert asyncio.run(boots(("/bin/sh", "-c", script), 60)) == reason


def test_a_guest_that_says_nothing_is_given_up_and_ended(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = f"echo $$ >{pid}; exec sleep 60"
    assert asyncio.run(boots(("/bin/sh", "-c", script), 1)) == "a guest did not start within 1 s"
    assert not pid.exists() or not Path("/proc", pid.read_text().strip()).exists()


def test_without_its_device_kvm_is_not_tried(tmp_path: Path) -> None:
    missing = tmp_path / "kvm"
    assert asyncio.run(why_no_kvm(QEMU, KERNEL, Path("/initrd"), missing)) == f"there is no {missing}"


def test_qmp_is_asked_with_one_command_after_the_other(tmp_path: Path) -> None:
    control = tmp_path / "qmp"
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'{"QMP": {}}\n')
        while line := await reader.readline():
            asked.append(json.loads(line)["execute"])
            writer.write(b'{"event": "NIC_RX_FILTER_CHANGED"}\n')
            good = b'{"return": {"number": %d}}\n' % len(asked)
            writer.write(b'{"error": {"desc": "refused"}}\n' if asked[-1] == "bad" else good)
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        asking = asyncio.create_task(ask(control, "one", "two"))  # before QEMU has made the socket
        await asyncio.sleep(0)
        async with await asyncio.start_unix_server(answer, control):
            assert await asking == [{"number": 2}, {"number": 3}]
            assert asked == ["qmp_capabilities", "one", "two"]
            with pytest.raises(TargetError, match=r"QEMU does not answer at .*: bad: refused"):
                await ask(control, "bad")

    asyncio.run(main())


def test_loadgen_may_be_installed_below_tmp(tmp_path: Path) -> None:
    """Nothing is mounted over a directory that can hold files of loadgen, and anybody may write to /tmp."""
    mounted = set(re.findall(r"mount .* /new/?([\w{]*)", boot._INIT))
    assert mounted == {"", "dev", "proc", "sys", "{docroot"}
    make_root(tmp_path, [], {}, ())
    assert (tmp_path / "tmp").stat().st_mode & 0o7777 == 0o1777
