"""What every environment of `loadgen relative` does: fresh places, commands in them, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.commands.api import MOST_OUTPUT_BYTES, Ran
from deploy.commands.catalog import ENVIRONMENTS, choose
from loadgen.model.errors import TargetError
from loadgen.model.limits import NO_LIMITS, VmLimits
from loadgen.model.units import NS_PER_S
from tests.support.boxes import groups_of, needs_root
from tests.support.vms import descendants, within

LONG_NS = 60 * NS_PER_S
NAMES = [pytest.param("bare"), pytest.param("ns", marks=needs_root)]
EACH = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A TMPDIR of its own, which must be empty afterwards; its path is short because a socket may be made in it."""
    with tempfile.TemporaryDirectory(prefix="lg") as path:
        monkeypatch.setattr(tempfile, "tempdir", path)
        monkeypatch.setenv("TMPDIR", path)
        yield Path(path)
        assert list(Path(path).iterdir()) == []
    assert groups_of(os.getpid()) == []


def run(name: str, *scripts: str, timeout_ns: int = LONG_NS, limits: VmLimits = NO_LIMITS) -> list[Ran]:
    """Run texts of /bin/sh in one place, one after the other."""

    async def all_of_them() -> list[Ran]:
        async with choose(name).places(1, limits) as made:
            return [await made.places[0].run(("/bin/sh", "-c", text), timeout_ns) for text in scripts]

    return asyncio.run(all_of_them())


def test_every_environment_is_tested() -> None:
    assert [param.values[0] for param in NAMES] == list(ENVIRONMENTS)


@EACH
def test_a_command_gives_its_output_status_and_times(name: str) -> None:
    (ran,) = run(name, "echo out; echo err >&2; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exit 3")
    assert (ran.status, ran.output, ran.timed_out) == (3, "out\nerr\n", False)
    assert ran.cpu_ns > 0
    assert 0 < ran.wall_ns < LONG_NS


@EACH
def test_commands_of_a_place_share_an_empty_directory_and_its_background(name: str) -> None:
    first, second = run(name, "ls -A; echo 1 > file; sleep 1000 & echo $! > pid", "cat file; kill -0 $(cat pid) && pwd")
    assert (first.status, first.output) == (0, "")
    assert second.status == 0
    assert second.output.startswith("1\n/")


@EACH
def test_places_are_apart_and_run_at_once(name: str) -> None:
    async def both() -> tuple[list[str], list[Ran]]:
        async with choose(name).places(2, NO_LIMITS) as made:
            texts = [f"echo {place.name} > own; sleep 0.2; cat own" for place in made.places]
            ran = [place.run(("sh", "-c", text), LONG_NS) for place, text in zip(made.places, texts, strict=True)]
            return [place.name for place in made.places], await asyncio.gather(*ran)

    names, ran = asyncio.run(both())
    assert names == ["vm01", "vm02"]
    assert [one.output.strip() for one in ran] == names


@EACH
def test_a_command_is_killed_at_its_limit_with_all_that_it_started(name: str) -> None:
    (ran,) = run(name, "echo begun; sleep 1000 & sleep 1000", timeout_ns=NS_PER_S // 4)
    assert (ran.status, ran.timed_out, ran.output) == (-signal.SIGKILL, True, "begun\n")
    assert descendants(os.getpid()) == []


@EACH
def test_a_program_that_is_not_there_is_status_127(name: str) -> None:
    async def absent() -> Ran:
        async with choose(name).places(1, NO_LIMITS) as made:
            return await made.places[0].run(("no-such-program",), LONG_NS)

    ran = asyncio.run(absent())
    assert ran.status == 127
    assert ran.output == "no-such-program: No such file or directory\n"


@EACH
def test_a_long_output_loses_its_middle(name: str) -> None:
    (ran,) = run(name, "echo first; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last")
    assert ran.output.startswith("first\n")
    assert ran.output.endswith("\nlast\n")
    assert "output left out" in ran.output
    assert len(ran.output) < MOST_OUTPUT_BYTES + 100


@EACH
def test_a_closed_output_does_not_end_the_command(name: str) -> None:
    (ran,) = run(name, "exec >&- 2>&-; sleep 0.2; exit 5")
    assert ran.status == 5


@EACH
def test_nothing_is_left_of_a_cancelled_command(name: str) -> None:
    async def cancelled() -> None:
        async with choose(name).places(2, NO_LIMITS) as made:
            await asyncio.gather(*(place.run(("sleep", "1000"), LONG_NS) for place in made.places))

    async def cancel() -> None:
        doing = asyncio.create_task(cancelled())
        assert await asyncio.to_thread(within, 30, lambda: "sleep" in names_below(os.getpid()))
        doing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await doing

    asyncio.run(cancel())
    assert descendants(os.getpid()) == []


@EACH
def test_nothing_is_left_after_sigkill(name: str, home: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from deploy.commands.catalog import choose\n"
        "from loadgen.model.limits import NO_LIMITS\n"
        "async def main():\n"
        "    async with choose(sys.argv[1]).places(2, NO_LIMITS) as made:\n"
        "        argv = ('sh', '-c', 'sleep 1000 & sleep 1000')\n"
        "        await asyncio.gather(*(place.run(argv, 10**12) for place in made.places))\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, name]) as process:
        assert within(30, lambda: names_below(process.pid).count("sleep") >= 4)
        below = descendants(process.pid)
        process.kill()
        process.wait()
        assert within(30, lambda: not any(Path(f"/proc/{pid}").exists() for pid in below))
        assert within(30, lambda: list(home.iterdir()) == [])
        assert within(30, lambda: groups_of(process.pid) == [])


@needs_root
def test_limits_of_boxes_are_granted_and_bite() -> None:
    async def limited() -> tuple[object, Ran]:
        limits = VmLimits(memory_bytes=64 << 20, pids=20)
        async with choose("ns").places(1, limits) as made:
            eat = "python3 -c \"x = b'x' * (256 << 20)\" || head -c 256M /dev/zero | tail"
            return made.details["limits"], await made.places[0].run(("sh", "-c", eat), LONG_NS)

    granted, ran = asyncio.run(limited())
    assert isinstance(granted, dict)
    assert (granted["memory_bytes"], granted["pids"]) == (64 << 20, 20)
    assert ran.status != 0


@needs_root
def test_a_box_has_its_own_files_processes_and_host_name() -> None:
    path = Path("/etc/loadgen-test-of-a-box")
    (ran,) = run("ns", f"hostname; ls /proc | grep -c '^[0-9]'; echo 1 > {path} && cat {path}")
    name, count, written = ran.output.split()
    assert (name, written) == ("vm01", "1")
    assert int(count) < 10
    assert not path.exists()


@needs_root
def test_a_box_that_cannot_be_made_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.commands.here._python_paths", lambda: ("/no/such/directory",))
    with pytest.raises(TargetError, match="vm01 cannot be made: "):
        run("ns", "true")


def names_below(pid: int) -> list[str]:
    """The names of the processes below a process."""
    found = []
    for one in descendants(pid):
        try:
            found.append(Path(f"/proc/{one}/comm").read_text().strip())
        except OSError:
            continue  # it has ended
    return found
