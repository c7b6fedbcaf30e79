"""`loadgen spec` against servers with known answers, from the targets file to the verdict and the record."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.servers.builtin import find as find_builtin
from deploy.vms.local import LocalVms
from tests.support import scripted
from tests.support.cli import LOADGEN, environment
from tests.support.disturbed import disturbed, ending, score
from tests.support.scripted import ScriptedServer
from tests.support.throttle import Lag, Throttle
from tests.support.vms import vm_request
from workloads.specweb99 import files, fileset

CONNECTIONS = 5
MAX_LAG_S = 0.003
"""An operation takes 1.2 s over a line of 100 kbit/s: with relays this late, no connection stays above 80 %."""
DOUBT_BYTES, MEAN_BYTES = 100, 15_000  # of a reply: see workloads.specweb99.compile
LENIENT = ("--bound", "rate:100k")
"""The bound for tests that do not test speed: a few short operations on a busy machine may miss 320 kbit/s."""


@pytest.fixture(scope="session")
def docroot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fileset")
    fileset.ensure(root, files.directories(CONNECTIONS))
    return root


@asynccontextmanager
async def web_servers(docroot: Path, count: int) -> AsyncIterator[LocalVms]:
    async with LocalVms(find_builtin(), vm_request([docroot] * count, connections=CONNECTIONS)) as vms:
        yield vms


def write_targets(directory: Path, ports: Sequence[int]) -> Path:
    directory.mkdir(exist_ok=True)
    file = directory / "targets.toml"
    file.write_text(
        "".join(f'[[target]]\nname = "t{i}"\nhost = "127.0.0.1"\nport = {port}\n' for i, port in enumerate(ports))
    )
    return file


async def spec(directory: Path, ports: Sequence[int], *more: str) -> tuple[int, dict[str, Any], str]:
    """Return exit code, run.json and stderr of a short run."""
    targets = write_targets(directory, ports)
    arguments = (
        f"spec --targets {targets} --connections {CONNECTIONS} --iterations 1 "
        f"--engines 1 --warmup 500ms --ramp-up 500ms --ramp-down 1s --json --out {directory / 'run'}"
    )
    process = await asyncio.create_subprocess_exec(
        LOADGEN,
        *arguments.split(),
        *more,
        env=environment(directory),
        cwd=directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    document = json.loads(out) if out else {}
    if document.get("kind") == "spec":
        assert document == json.loads((directory / "run" / "run.json").read_text()) | {
            "finished_at": document["finished_at"]
        }
    return process.returncode, document, err.decode()


def errors_of(document: dict[str, Any], target: int = 0) -> dict[str, int]:
    found = document["targets"][target]["errors_by_outcome"]
    assert isinstance(found, dict)
    return found


def test_at_79_percent_of_the_cap_no_connection_conforms_and_at_81_percent_all_do(
    docroot: Path, tmp_path: Path
) -> None:
    """On slow lines, the delay of a relay in Python is small compared with the 1 % that the test must see."""
    line_bps = 100_000

    async def scenario() -> None:
        async with (
            web_servers(docroot, 2) as vms,
            Throttle(vms.targets[0].port, 0.79 * line_bps) as below,
            Throttle(vms.targets[1].port, 0.81 * line_bps) as above,
            Lag() as lag,
        ):
            more = ("--line-speed", "100k", "--bound", "rate:80k", "--duration", "15s")
            slow, fast = await asyncio.gather(
                spec(tmp_path / "below", [below.port], *more), spec(tmp_path / "above", [above.port], *more)
            )
        code, document, _ = slow
        assert (code, document["verdict"]) == ending(document, 1, "not conforming")
        assert document["conforming_connections"] == score(document, 0)
        code, document, _ = fast
        if lag.mean_s > MAX_LAG_S:
            return  # the relays themselves were too slow, so the answer of this run is not known
        assert document["conforming_connections"] == score(document, CONNECTIONS), document["reasons"]
        assert (code, document["verdict"]) == ending(document, 0, "conforming")
        for document, counts in ((slow[1], [CONNECTIONS, 0, 0]), (fast[1], [CONNECTIONS, CONNECTIONS, 0])):
            if not disturbed(document):
                assert [one["conforming"] for one in document["margin"]["floors"]] == counts
                assert document["margin"]["is_edge"]

    asyncio.run(scenario())


def test_ideal_servers_do_what_a_good_server_does(docroot: Path, tmp_path: Path) -> None:
    """The simulation of the run's own operations agrees with the run.

    The number of operations may differ by what is not known about the length of replies, and by one for each
    connection, because a window ends inside of an operation.
    """

    async def scenario() -> None:
        async with web_servers(docroot, 2) as vms:
            _, document, _ = await spec(tmp_path, [vm.port for vm in vms.targets], "--duration", "12s", *LENIENT)
        if disturbed(document):
            return
        margin, measured = document["margin"], document["iterations"][0]
        ideal = margin["ideal"]
        assert ideal["conforming"] == measured["conforming"] == 2 * CONNECTIONS
        doubt = DOUBT_BYTES / MEAN_BYTES * ideal["ops_per_s"]
        assert abs(measured["ops_per_s"] - ideal["ops_per_s"]) <= doubt + 2 * CONNECTIONS / 12
        assert ideal["ops_per_s_spread"]["low"] < ideal["ops_per_s_spread"]["high"]
        assert not margin["is_edge"]

    asyncio.run(scenario())


BROKEN = {
    "BAD_STATUS": scripted.error_500,
    "CLOSED_EARLY": scripted.truncates,
    "TIMED_OUT": scripted.stalls,
    "MALFORMED": scripted.garbage,
    "HEAD_TOO_LARGE": scripted.endless_headers,
    "NO_REPLY": scripted.hangs_up,
    "BAD_CONTENT": scripted.wrong_header_line,
}


def test_each_broken_server_is_named_with_its_error_and_a_good_server_is_not_affected(
    docroot: Path, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            vms = await stack.enter_async_context(web_servers(docroot, 1))
            broken = [
                await stack.enter_async_context(ScriptedServer(scripted.spec_answer(behaviour)))
                for behaviour in BROKEN.values()
            ]
            ports = [vms.targets[0].port, *(server.port for server in broken)]
            code, document, _ = await spec(tmp_path, ports, "--duration", "3s", "--timeout", "500ms", *LENIENT)
        assert (code, document["verdict"]) == ending(document, 1, "not conforming")
        good, *bad = document["targets"]
        assert (good["errors"], good["conforming"]) == (0, score(document, CONNECTIONS))
        assert [row["conforming"] for row in bad] == [score(document, 0)] * len(BROKEN)
        for number, outcome in enumerate(BROKEN, start=1):
            allowed = {outcome, "BAD_LENGTH"} if outcome == "BAD_CONTENT" else {outcome}
            assert outcome in errors_of(document, number)
            assert set(errors_of(document, number)) <= allowed
        assert disturbed(document) or any("worst: t" in reason for reason in document["reasons"])

    asyncio.run(scenario())


def test_a_server_that_dies_during_the_run_counts_as_refused(docroot: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with web_servers(docroot, 1) as stays, web_servers(docroot, 1) as dies:
            ports = [stays.targets[0].port, dies.targets[0].port]
            running = asyncio.create_task(spec(tmp_path, ports, "--duration", "6s", *LENIENT))
            await asyncio.sleep(5)
            await dies.close()
            code, document, _ = await running
        assert (code, document["verdict"]) == ending(document, 1, "not conforming")
        assert document["targets"][0]["conforming"] == score(document, CONNECTIONS)
        assert disturbed(document) or document["targets"][1]["conforming"] < CONNECTIONS
        assert errors_of(document, 1)["REFUSED"] > 0
        assert set(errors_of(document, 1)) <= {"REFUSED", "RESET", "NO_REPLY", "CLOSED_EARLY"}
        assert disturbed(document) or any("POST log" in reason for reason in document["reasons"])

    asyncio.run(scenario())


def test_one_dead_target_is_counted_and_only_dead_targets_are_a_one_line_error(docroot: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))  # bound but not listening: no other process gets the port
            nobody = held.getsockname()[1]
            async with web_servers(docroot, 1) as vms:
                some = await spec(tmp_path / "some", [vms.targets[0].port, nobody], "--duration", "3s", *LENIENT)
            none = await spec(tmp_path / "none", [nobody])
        code, document, err = some
        assert (code, document["verdict"]) == ending(document, 1, "not conforming")
        assert set(errors_of(document, 1)) == {"REFUSED"}
        assert document["targets"][0]["conforming"] == score(document, CONNECTIONS)
        assert f"t1 (127.0.0.1:{nobody}): connection refused" in err
        code, document, err = none
        assert code == 1
        assert (document["kind"], document["exit_code"]) == ("error", 1)
        assert err.count("\n") == 2  # the problem, and the remedy
        assert "Traceback" not in err
        assert f"127.0.0.1:{nobody}" in err

    asyncio.run(scenario())


def test_a_time_bound_is_judged_by_response_times(docroot: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with web_servers(docroot, 2) as vms:
            one, other = (target.port for target in vms.targets)
            strict, lenient = await asyncio.gather(
                spec(tmp_path / "strict", [one], "--duration", "4s", "--bound", "time:1us/2us"),
                spec(tmp_path / "lenient", [other], "--duration", "4s", "--bound", "time:1s/2s"),
            )
        # No client sends within a tenth of a microsecond, so nothing can be said about such a bound.
        assert (strict[0], strict[1]["verdict"]) == (3, "INVALID")
        assert strict[1]["conforming_connections"] is None
        assert (lenient[0], lenient[1]["verdict"]) == ending(lenient[1], 0, "conforming")
        assert lenient[1]["conforming_connections"] == score(lenient[1], CONNECTIONS)

    asyncio.run(scenario())


def test_an_interrupt_stops_at_once_and_judges_the_measurements(docroot: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with web_servers(docroot, 1) as vms:
            file = write_targets(tmp_path, [vms.targets[0].port])
            process = await asyncio.create_subprocess_exec(
                LOADGEN,
                *f"spec --targets {file} --connections 5 --warmup 500ms --engines 1 --json --out run".split(),
                env=environment(tmp_path),
                cwd=tmp_path,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            assert process.stderr is not None
            while b"measuring 1/3 2/" not in (line := await process.stderr.readline()):
                assert line, "the command ended before this line"
            process.send_signal(signal.SIGINT)
            out, err = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 130, err
        document = json.loads(out)
        assert document["verdict"] == "interrupted"
        assert len(document["iterations"]) == 1
        assert 1 < document["iterations"][0]["measured_s"] < 10
        assert not document["iterations"][0]["complete"]
        assert document["iterations"][0]["requests_ok"] > 10
        assert "Traceback" not in err.decode()

    asyncio.run(scenario())
