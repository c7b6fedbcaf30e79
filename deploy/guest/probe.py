"""Does KVM work here?  A guest is really started: `/dev/kvm` may exist and accept calls, and still run no kernel."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

from deploy.guest.boot import BOOTED, PROBE, find_tool
from deploy.guest.kernel import Kernel
from deploy.guest.machine import KVM, Machine, Qemu, command

DEVICE = Path("/dev/kvm")
_DEADLINE_S = 8.0
"""For a start that takes about half a second where KVM works."""

_MEMORY_BYTES = 128 << 20


async def why_no_kvm(qemu: Qemu, kernel: Kernel, initrd: Path, device: Path = DEVICE) -> str:
    """Start a guest with KVM; returns "" if it started, else the reason why KVM cannot be used."""
    if not os.access(device, os.F_OK):
        return f"there is no {device}"
    if not os.access(device, os.R_OK | os.W_OK):
        return f"this user may not open {device}"
    name, _, value = PROBE.partition("=")
    machine = Machine(accelerator=KVM, vcpus=1, memory_bytes=_MEMORY_BYTES)
    argv = command(qemu, kernel, initrd, machine, {name: value})
    return await boots(argv, _DEADLINE_S)


async def boots(argv: tuple[str, ...], deadline_s: float) -> str:
    """Run a guest until it says that it has booted; returns "" then, else the reason.  Nothing runs afterwards.

    The guest ends with this process, too.
    """
    process = await asyncio.create_subprocess_exec(
        *(find_tool("prlimit"), "--core=0:0", find_tool("setpriv"), "--pdeathsig", "KILL", *argv),  # QEMU may abort
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    first = ""
    try:
        async with asyncio.timeout(deadline_s):
            assert process.stdout is not None
            while line := (await process.stdout.readline()).decode(errors="replace"):
                if BOOTED in line:
                    return ""
                first = first or line.strip()
    except TimeoutError:
        return f"a guest did not start within {deadline_s:g} s"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return first.removeprefix(f"{Path(argv[0]).name}: ").removeprefix("error: ") or "QEMU ended without a message"
