"""Fates add up to what the servers wrote down, and every output of a run says the same, for every kind of server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from deploy.servers.builtin import find as find_builtin
from deploy.vms.local import LocalVms
from loadgen.engine.choice import available
from loadgen.model.units import NS_PER_S
from tests.support.agreement import (
    Run,
    check_fates,
    check_live,
    check_log,
    check_percentiles,
    check_rows,
    check_text,
    named_cells,
    table,
)
from tests.support.cli import loadgen
from tests.support.scripted import (
    Behaviour,
    ScriptedServer,
    closes_after,
    delayed,
    missing,
    resets,
    silent_after,
    spec_answer,
    trickling,
)
from tests.support.vms import vm_request
from tests.support.witness import WitnessRelay
from workloads.specweb99 import files, fileset

pytestmark = pytest.mark.parametrize("engine", [kind.value for kind in available()])

QUICK, SLOW_S = delayed(0.002), 0.2
REFUSING = "refusing"
CONNECTIONS = 2  # to each server of a spec run

Server = ScriptedServer | WitnessRelay


def kinds() -> dict[str, Behaviour]:
    """Servers of every kind but one; the one that refuses is no server."""
    return {
        "healthy": QUICK,
        "slow": delayed(SLOW_S),
        "silent": silent_after(1.5),
        "resetting": resets,
        "missing": missing,
        "closing": closes_after(5, QUICK),
        "trickling": trickling(0.2),
    }


@asynccontextmanager
async def nobody() -> AsyncIterator[int]:
    """A port at which nobody listens, and that no other process gets."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


async def seen_by(servers: Mapping[str, Server]) -> dict[str, int]:
    """The number of requests at each server, without the coordinator's own."""
    await asyncio.sleep(0.3)  # the servers read what was sent last
    return {name: len(server.requests) for name, server in servers.items()}


def http(tmp_path: Path, engine: str, *arguments: str) -> tuple[Run, list[str]]:
    """A run, and the kind of server of each of its targets."""

    async def scenario() -> tuple[Run, list[str]]:
        async with AsyncExitStack() as stack:
            servers: dict[str, ScriptedServer] = {}
            for name, behaviour in kinds().items():
                servers[name] = await stack.enter_async_context(ScriptedServer(behaviour))
            ports = {name: server.port for name, server in servers.items()}
            ports[REFUSING] = await stack.enter_async_context(nobody())
            targets = [f"http://127.0.0.1:{port}/?size=500" for port in ports.values()]
            given = ("http", *targets, "--engine", engine, "--engines", "1", "--out", "run", *arguments)
            done = await asyncio.to_thread(loadgen, *given, cache=tmp_path, cwd=tmp_path)
            seen = {f"127.0.0.1:{ports[name]}": number for name, number in (await seen_by(servers)).items()}
            seen[f"127.0.0.1:{ports[REFUSING]}"] = 0
            return await asyncio.to_thread(Run.read, tmp_path, done, seen), list(ports)

    return asyncio.run(scenario())


COORDINATOR = "aiohttp"
"""A part of the User-Agent of the coordinator's own requests, before and after the traffic."""

relay = partial(WitnessRelay, unnoticed=COORDINATOR)
scripted = partial(ScriptedServer, unnoticed=COORDINATOR)

LOADS = {"closed": ("-c", "16"), "open": ("-c", "32", "--rate", "160/s")}


@pytest.mark.parametrize("load", LOADS)
def test_http(tmp_path: Path, engine: str, load: str) -> None:
    run, names = http(tmp_path, engine, "--warmup", "1s", "-d", "3s", *LOADS[load])
    check_fates(run)
    found, window_ns = run.document, 3 * NS_PER_S
    rows = dict(zip(names, found["targets"], strict=True))
    for row in found["targets"]:
        check_rows(run, row, row["name"], 0, ok="ok")
        assert row["due"] == row["ok"] + row["errors"] + row["cut"]
        assert (
            row["sent"] + sum(cell.retries for (_, name), cell in run.cells().items() if name == row["name"])
            == (run.seen[row["name"]])
        )
        cell = run.cells().get((0, row["name"]))
        given = [cell] if cell else []
        check_percentiles(row["response_ms"], given, row["cut"] - (cell.cut if cell else 0), window_ns)
    total = found["total"]
    for name in ("ok", "errors", "cut", "due", "sent", "unanswered", "retries"):
        assert total[name] == sum(row[name] for row in found["targets"])
    assert total["per_s"] == pytest.approx(total["ok"] / found["measured_s"])

    shown = {line["target"]: line for line in named_cells(run.text, "Targets")}
    assert list(shown) == [*(row["name"] for row in found["targets"]), "all"], run.text
    for row in (*found["targets"], total):
        line = shown[row["name"]]
        for name, count in (("ok", row["ok"]), ("errors", row["errors"]), ("cut", row["cut"])):
            assert int(line[name].replace(",", "")) == count
        assert float(line["req/s"].replace(",", "")) == pytest.approx(row["per_s"], abs=0.051)
        check_text([line["p50"], line["p99"]], row["response_ms"])
    check_log(run, total["due"], [total["response_ms"]], tmp_path)
    shed = total["errors_by_outcome"].get("SHED", 0)
    check_live(run, rate="req/s", errors=total["errors"] - shed, percentiles=("p50", "p99"))

    assert rows["slow"]["service_ms"]["p50"]["low"] >= 999 * SLOW_S
    assert (rows["healthy"]["errors"], rows["closing"]["errors"]) == (0, 0)
    assert rows["closing"]["retries"] > 0
    assert rows["silent"]["response_ms"]["max"]["high"] is None
    assert rows["silent"]["unanswered"] > 0
    assert set(rows[REFUSING]["errors_by_outcome"]) == {"REFUSED"}
    assert set(rows["resetting"]["errors_by_outcome"]) == {"RESET"}
    assert set(rows["missing"]["errors_by_outcome"]) == {"BAD_STATUS"}
    assert rows["trickling"]["ok"] == rows["trickling"]["errors"] == 0
    # Of the open loop, the 20 requests of the warm-up wait during all of the window.
    assert rows["trickling"]["cut"] == (2 if load == "closed" else 80)
    assert 0 < rows["trickling"]["unanswered"] <= rows["trickling"]["cut"]


@pytest.fixture(scope="module")
def docroot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fileset")
    fileset.ensure(root, files.directories(CONNECTIONS))
    return root


def spec(tmp_path: Path, docroot: Path, engine: str, *arguments: str) -> Run:
    """A run against a relay in front of the built-in server where replies must be right, and scripted servers."""

    async def scenario() -> Run:
        async with AsyncExitStack() as stack:
            real = await stack.enter_async_context(
                LocalVms(find_builtin(), vm_request([docroot] * 4, connections=CONNECTIONS))
            )
            behind = iter(real.targets)
            servers: dict[str, Server] = {
                "healthy": relay(next(behind).port),
                "slow": relay(next(behind).port, delay_s=SLOW_S),
                "silent": relay(next(behind).port, silent_after_s=2.5),
                "closing": relay(next(behind).port, replies=5),
                "trickling": scripted(spec_answer(trickling(0.2))),
                "resetting": scripted(spec_answer(resets)),
                "missing": scripted(spec_answer(missing)),
            }
            for server in servers.values():
                await stack.enter_async_context(server)
            ports = {name: server.port for name, server in servers.items()}
            ports[REFUSING] = await stack.enter_async_context(nobody())
            (tmp_path / "targets.toml").write_text(
                "".join(
                    f'[[target]]\nname = "{name}"\nhost = "127.0.0.1"\nport = {port}\n' for name, port in ports.items()
                )
            )
            given = ("spec", "--targets", "targets.toml", "--engine", engine, "--engines", "1", "--out", "run")
            done = await asyncio.to_thread(loadgen, *given, *arguments, cache=tmp_path, cwd=tmp_path)
            seen = await seen_by(servers) | {REFUSING: 0}
            return await asyncio.to_thread(Run.read, tmp_path, done, seen)

    return asyncio.run(scenario())


@pytest.mark.parametrize("iterations", [1, 2])
def test_spec(tmp_path: Path, docroot: Path, engine: str, iterations: int) -> None:
    phases = ["--warmup", "1s", "--ramp-up", "500ms", "--duration", "4s", "--ramp-down", "1s", "--timeout", "2s"]
    run = spec(tmp_path, docroot, engine, "--connections", "2", "--iterations", str(iterations), *phases)
    check_fates(run)
    found, window_ns = run.document, 4 * NS_PER_S
    assert len(found["iterations"]) == iterations
    for one in found["iterations"]:
        for row in one["targets"]:
            check_rows(run, row, row["name"], one["index"], ok="requests_ok")
            cell = run.cells().get((one["index"], row["name"]))
            given = [cell] if cell else []
            check_percentiles(row["response_ms"], given, row["cut"] - (cell.cut if cell else 0), window_ns)
        for name in ("requests_ok", "errors", "cut"):
            assert one[name] == sum(row[name] for row in one["targets"])
        assert one["ops_per_s"] == pytest.approx(one["requests_ok"] / one["measured_s"])

    for one, line in zip(found["iterations"], table(run.text, "Iterations"), strict=True):
        assert int(line[7].replace(",", "")) == one["errors"], run.text
        assert int(line[8]) == one["cut"], run.text
        assert float(line[3].replace(",", "")) == pytest.approx(one["ops_per_s"], abs=0.051)
        check_text(line[5:7], one["response_ms"])
    for row, line in zip(found["targets"], table(run.text, "VMs (median iteration)"), strict=True):
        assert (line[0], line[7], line[8]) == (row["name"], f"{row['errors']:,}", str(row["cut"])), run.text
        check_text(line[5:7], row["response_ms"])
    total = sum(one["requests_ok"] + one["errors"] + one["cut"] for one in found["iterations"])
    check_log(run, total, [one["response_ms"] for one in found["iterations"]], tmp_path)
    check_live(run, rate="ops/s", errors=found["iterations"][-1]["errors"], percentiles=("p99",))

    rows = {row["name"]: row for row in found["iterations"][0]["targets"]}
    assert rows["slow"]["response_ms"]["p50"]["low"] >= 999 * SLOW_S
    assert (rows["healthy"]["errors"], rows["healthy"]["requests_ok"] > 0) == (0, True)
    assert rows["silent"]["response_ms"]["max"]["high"] is None
    assert set(rows[REFUSING]["errors_by_outcome"]) == {"REFUSED"}
    assert set(rows["resetting"]["errors_by_outcome"]) == {"RESET"}
    assert set(rows["missing"]["errors_by_outcome"]) == {"BAD_STATUS"}
    assert rows["trickling"]["requests_ok"] == 0
    assert (rows["trickling"]["cut"], rows["trickling"]["response_ms"]["p50"]["high"]) == (2, None)
