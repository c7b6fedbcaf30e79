"""QEMU's command line for one guest, a machine of the type `microvm`: a few virtio devices, and no BIOS of a PC."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.guest.kernel import Kernel
from deploy.servers.base import ask_version, find_binary
from loadgen.model.errors import PlanError

KVM = "kvm"
TCG = "tcg"
"""Software emulation of the CPU."""

_CPUS = {KVM: "host", TCG: "max"}
_UNKNOWN_KHZ = 2_000_000

# rtc=on: without this clock, and without KVM's, the kernel does not start.  QEMU ends when the guest restarts.
_ALWAYS = ("-no-user-config", "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot")
_WORDS = ("console=ttyS0", "quiet", "panic=-1", "reboot=t", "random.trust_cpu=on")


@dataclass(frozen=True, slots=True, kw_only=True)
class Qemu:
    """The QEMU of this machine: its program and its version."""

    program: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The hardware of a guest."""

    accelerator: str
    vcpus: int
    memory_bytes: int
    disks: Sequence[Path] = ()
    network: str = ""
    """The value of `-netdev`, with the id `net`; "" for none."""
    mac: str = ""


def find_qemu(machine: str) -> Qemu:
    """The QEMU for the architecture `machine` of this machine (uname -m).  Raises PlanError when there is none."""
    if machine != "x86_64":
        raise PlanError(
            f"the VM driver qemu runs on x86_64 only, and this machine is {machine}: QEMU's microvm is made for it",
            hint="use another VM driver",
        )
    program = find_binary("qemu-system-x86_64", "qemu-kvm")
    version = ask_version(program, r"version (\d[\w.]*)", "--version") if program else None
    if program is None or version is None:
        raise PlanError(
            "QEMU is not installed on this machine", hint="install it (Debian: apt-get install qemu-system-x86)"
        )
    return Qemu(program=program, version=version)


def command(
    qemu: Qemu, kernel: Kernel, initrd: Path, machine: Machine, words: Mapping[str, str], control: Path | None = None
) -> tuple[str, ...]:
    """The command line of a guest.

    `words` become environment variables of its scripts, without blanks.  `control` is the path of a socket for QMP;
    QEMU writes its pid beside it (:func:`pid_file`).
    """
    append = (*_WORDS, *_clock(machine.accelerator), *(f"{name}={value}" for name, value in words.items()))
    argv = [qemu.program, *_ALWAYS, "-M", f"microvm,accel={machine.accelerator},rtc=on"]
    argv += ["-cpu", _CPUS[machine.accelerator], "-smp", str(machine.vcpus), "-m", f"{machine.memory_bytes >> 20}M"]
    argv += ["-kernel", str(kernel.image), "-initrd", str(initrd), "-append", " ".join(append)]
    for number, disk in enumerate(machine.disks):
        argv += ["-drive", f"id=d{number},if=none,format=raw,readonly=on,file={escaped(disk)}"]
        argv += ["-device", f"virtio-blk-device,drive=d{number}"]
    if machine.network:
        argv += ["-netdev", machine.network, "-device", f"virtio-net-device,netdev=net,mac={machine.mac}"]
    if control is not None:
        argv += ["-qmp", f"unix:{escaped(control)},server=on,wait=off", "-pidfile", str(pid_file(control))]
    return tuple(argv)


def pid_file(control: Path) -> Path:
    """The file with the pid of the QEMU that is controlled at `control`."""
    return control.with_suffix(".pid")


def escaped(path: Path) -> str:
    """A path in an option of QEMU, where a comma separates."""
    return str(path).replace(",", ",,")


def _clock(accelerator: str) -> tuple[str, ...]:
    """The rate of the CPU's clock, told to a kernel without KVM's clock.

    Software emulation passes the clock of this machine's CPU on.  The kernel would measure its rate with emulated
    timers; on a busy machine that failed in half of the starts, and then the kernel waits for ever.
    """
    if accelerator == KVM:
        return ()
    found = re.search(r"^cpu MHz\s*: ([0-9.]+)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return (f"tsc_early_khz={round(float(found[1]) * 1000) if found else _UNKNOWN_KHZ}",)
