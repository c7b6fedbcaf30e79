"""What every environment of `loadgen relative` does: fresh places, commands in them, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import shutil
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
from tests.support.containers import names_in, needs_engine, running_engine
from tests.support.vms import descendants, within

LONG_NS = 60 * NS_PER_S
NAMES = [pytest.param("bare"), pytest.param("ns", marks=needs_root), pytest.param("oci", marks=needs_engine)]
EACH = pytest.mark.parametrize("name", NAMES)


PROGRAM = (
    "import asyncio, sys\n"
    "from deploy.commands.catalog import choose\n"
    "from loadgen.model.limits import NO_LIMITS\n"
    "async def main():\n"
    "    async with choose(sys.argv[1]).places(2, NO_LIMITS) as made:\n"
    "        argv = ('sh', '-c', 'sleep 1000 & sleep 1000')\n"
    "        await asyncio.gather(*(place.run(argv, 10**12) for place in made.places))\n"
    "asyncio.run(main())\n"
)
"""Runs commands in two places of an environment until it is killed."""

COMMANDS = {
    "both outputs": "echo out; echo err >&2; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exit 3",
    "no program": "",
    "long output": "echo first; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last",
    "closed output": "exec >&- 2>&-; sleep 0.2; exit 5",
    "environment": "echo $LOADGEN_TEST_OF_PLACES",
}
"""Texts for /bin/sh; "" for a program that is not there."""


@pytest.fixture(scope="module", params=NAMES)
def told(request: pytest.FixtureRequest) -> dict[str, Ran]:
    """Run each command, one after the other in one place, because a container takes seconds to start."""

    async def all_of_them() -> dict[str, Ran]:
        async with choose(request.param).places(1, NO_LIMITS) as made:
            words = {name: ("/bin/sh", "-c", text) if text else ("no-such-program",) for name, text in COMMANDS.items()}
            return {name: await made.places[0].run(argv, LONG_NS) for name, argv in words.items()}

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOADGEN_TEST_OF_PLACES", "a value")
        return asyncio.run(all_of_them())


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


def test_a_command_gives_its_output_status_and_times(told: dict[str, Ran]) -> None:
    ran = told["both outputs"]
    assert (ran.status, ran.output, ran.timed_out) == (3, "out\nerr\n", False)
    assert ran.cpu_ns > 0
    assert 0 < ran.wall_ns < LONG_NS


def test_a_program_that_is_not_there_is_status_127(told: dict[str, Ran]) -> None:
    ran = told["no program"]
    assert (ran.status, ran.output) == (127, "no-such-program: No such file or directory\n")


def test_a_long_output_loses_its_middle(told: dict[str, Ran]) -> None:
    ran = told["long output"]
    assert ran.output.startswith("first\n")
    assert ran.output.endswith("\nlast\n")
    assert "output left out" in ran.output
    assert len(ran.output) < MOST_OUTPUT_BYTES + 100


def test_a_closed_output_does_not_end_the_command(told: dict[str, Ran]) -> None:
    assert told["closed output"].status == 5


def test_a_command_has_the_environment_of_loadgen(told: dict[str, Ran]) -> None:
    assert told["environment"].output == "a value\n"


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
    (ran,) = run(name, "echo begun; sleep 1000 & sleep 1000", timeout_ns=3 * NS_PER_S)
    assert (ran.status, ran.timed_out, ran.output) == (-signal.SIGKILL, True, "begun\n")
    assert descendants(os.getpid()) == []


@EACH
def test_nothing_is_left_of_a_cancelled_command(name: str) -> None:
    async def cancelled() -> None:
        async with choose(name).places(2, NO_LIMITS) as made:
            await asyncio.gather(*(place.run(("sleep", "1000"), LONG_NS) for place in made.places))

    async def cancel() -> None:
        doing = asyncio.create_task(cancelled())
        assert await asyncio.to_thread(within, 150, lambda: "sleep" in names_below(os.getpid()))
        doing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await doing

    asyncio.run(cancel())
    assert descendants(os.getpid()) == []


@EACH
def test_nothing_is_left_after_sigkill(name: str, home: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM, name]) as process:
        assert within(150, lambda: names_below(process.pid).count("sleep") >= 4)
        below = descendants(process.pid)
        process.kill()
        process.wait()
        assert within(30, lambda: not any(Path(f"/proc/{pid}").exists() for pid in below))
        assert within(30, lambda: list(home.iterdir()) == [])
        assert within(30, lambda: groups_of(process.pid) == [])


@needs_root
@pytest.mark.parametrize("name", NAMES[1:])
def test_limits_of_vms_are_granted_and_bite(name: str) -> None:
    async def limited() -> tuple[object, Ran]:
        limits = VmLimits(memory_bytes=64 << 20, pids=20)
        async with choose(name).places(1, limits) as made:
            eat = "python3 -c \"x = b'x' * (256 << 20)\" || head -c 256M /dev/zero | tail"
            return made.details["limits"], await made.places[0].run(("sh", "-c", eat), LONG_NS)

    granted, ran = asyncio.run(limited())
    assert isinstance(granted, dict)
    assert (granted["memory_bytes"], granted["pids"]) == (64 << 20, 20)
    assert ran.status != 0


@needs_root
@pytest.mark.parametrize("name", NAMES[1:])
def test_what_a_vm_writes_to_its_disk_is_written(name: str) -> None:
    """Test for the option of an overlay with which fsync() does nothing, so that databases are too fast."""
    (ran,) = run(name, "grep ' / overlay ' /proc/mounts")
    assert ran.status == 0
    assert "volatile" not in ran.output


@needs_root
def test_a_box_has_its_own_files_processes_and_host_name() -> None:
    path = Path("/etc/loadgen-test-of-a-box")
    (ran,) = run("ns", f"hostname; ls /proc | grep -c '^[0-9]'; echo 1 > {path} && cat {path}")
    name, count, written = ran.output.split()
    assert (name, written) == ("vm01", "1")
    assert int(count) < 10
    assert not path.exists()


@needs_engine
def test_a_container_has_its_own_files_processes_network_and_host_name(home: Path) -> None:
    text = f"hostname; ls /proc | grep -c '^[0-9]'; ls /sys/class/net; ls {home} | wc -l; echo 1 > /etc/x; touch /tmp/x"
    (ran,) = run("oci", text)
    name, count, devices, own, *error = ran.output.split(maxsplit=4)
    assert (name, devices) == ("vm01", "lo")
    assert int(count) < 10
    assert own == "1"  # the directory of its socket
    assert "Read-only" in " ".join(error)
    assert ran.status == 0


@needs_root
@needs_engine
def test_an_engine_that_serves_others_is_left_as_it_was(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_engine(home) as engine:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{home}/service/engine.sock")
        monkeypatch.setattr("deploy.oci.finding.find_podman", lambda: None)  # it is not started

        async def look() -> None:
            async with choose("oci").places(2, NO_LIMITS) as made:
                assert len(engine.containers.list()) == 2
                assert made.details["service"] == "of this machine"
                assert all(map(is_elsewhere, made.processes))

        asyncio.run(look())
        assert names_in(engine) == []
        with subprocess.Popen([sys.executable, "-c", PROGRAM, "oci"]) as process:
            assert within(60, lambda: len(engine.containers.list()) == 2)
            process.kill()
        assert within(60, lambda: engine.containers.list() == [])  # they have ended, and the next trial removes them
        assert run("oci", "true")[0].status == 0
        assert names_in(engine) == []
    shutil.rmtree(home / "service")


@needs_root
def test_a_box_that_cannot_be_made_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.commands.here.python_paths", lambda: ("/no/such/directory",))
    with pytest.raises(TargetError, match="vm01 cannot be made: "):
        run("ns", "true")


def is_elsewhere(pid: int) -> bool:
    """Whether a process runs in another PID namespace than this one."""
    return Path(f"/proc/{pid}/ns/pid").readlink() != Path("/proc/self/ns/pid").readlink()


def names_below(pid: int) -> list[str]:
    """The names of the processes below a process."""
    found = []
    for one in descendants(pid):
        try:
            found.append(Path(f"/proc/{one}/comm").read_text().strip())
        except OSError:
            continue  # it has ended
    return found
