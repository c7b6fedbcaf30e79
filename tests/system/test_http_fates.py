"""`loadgen http` against servers that stop answering: no request is left out, and the servers get the blame."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from loadgen.engine.choice import available
from tests.support.cli import Done, loadgen
from tests.support.disturbed import disturbed
from tests.support.scripted import (
    Behaviour,
    ScriptedServer,
    delayed,
    error_500,
    good,
    hangs_up,
    in_turns,
    paused,
    resets,
    silent,
    silent_after,
    trickling,
)

pytestmark = pytest.mark.parametrize("engine", [kind.value for kind in available()])

QUICK = delayed(0.005)
DISTURBED = {"engine stood still", "engine runnable", "other processes", "send lateness", "client's share"}
"""Checks that other work on this machine can fail."""


def play(
    behaviours: Sequence[Behaviour], tmp_path: Path, engine: str, *arguments: str
) -> tuple[Done, list[ScriptedServer]]:
    """A run against one server for each behaviour, and the servers, which counted their requests."""

    async def scenario() -> tuple[Done, list[ScriptedServer]]:
        servers = [ScriptedServer(behaviour) for behaviour in behaviours]
        for server in servers:
            await server.__aenter__()
        urls = [f"http://127.0.0.1:{server.port}/?size=500" for server in servers]
        more = ("--engine", engine, "--engines", "1", "--out", "run", *arguments)
        done = await asyncio.to_thread(loadgen, "http", *urls, *more, cache=tmp_path, cwd=tmp_path)
        await asyncio.sleep(0.2)  # the servers read what was sent last
        for server in servers:
            await server.__aexit__()
        return done, servers

    return asyncio.run(scenario())


def document(tmp_path: Path) -> dict[str, Any]:
    shown = loadgen("show", "run", "--json", cache=tmp_path, cwd=tmp_path)
    found: dict[str, Any] = shown.document
    return found


def blames_the_servers(done: Done, found: dict[str, Any]) -> bool:
    """Whether the run does not conform.  On a disturbed machine it may be INVALID, but not because of the servers."""
    if done.code == 3:
        failed = {check["name"] for check in found["trust"]["checks"] if not check["ok"]}
        assert failed <= DISTURBED or disturbed(found), done.out
        assert found["slos"] == []
        return False
    assert done.code == 1, done.out
    return True


def rows(tmp_path: Path) -> list[dict[str, str]]:
    shown = loadgen("show", "run", "--format", "csv", cache=tmp_path, cwd=tmp_path)
    return list(csv.DictReader(shown.out.splitlines()))


def test_silence_after_two_seconds_misses_the_objectives(tmp_path: Path, engine: str) -> None:
    asked = ("--rate", "50/s", "-c", "300", "-d", "4s", "--slo", "p99<50ms", "--slo", "errors<0.1%")
    done, (server,) = play([silent_after(2)], tmp_path, engine, *asked, "--hdr", "a.hgrm")
    found = document(tmp_path)
    if blames_the_servers(done, found):
        assert [check["ok"] for check in found["slos"]] == [False, False]
    assert "p99 ≥ 1.9" in " ".join(done.out.split())  # it may be at the end of a line
    assert "unanswered" in done.out
    total = found["total"]
    assert 1900 <= total["response_ms"]["p99"]["low"] <= 2000
    assert total["response_ms"]["p99"]["high"] is None
    assert total["unanswered"] == pytest.approx(100, abs=8)
    assert total["ok"] + total["errors"] + total["cut"] == total["due"] == total["sent"] == len(server.requests) == 200
    listing = (tmp_path / "a.hgrm").read_text()
    assert f"Total count    = {200:12d}" in listing
    assert f"Max     = {total['response_ms']['max']['low']:12.6f}" in listing


@pytest.mark.parametrize("behaviour", [silent, trickling(0.2)], ids=["silent", "trickling"])
@pytest.mark.parametrize("rate", [(), ("--rate", "20/s")], ids=["closed", "open"])
def test_a_server_that_never_answers_does_not_conform(
    tmp_path: Path, engine: str, behaviour: Behaviour, rate: tuple[str, ...]
) -> None:
    done, (server,) = play([behaviour], tmp_path, engine, "-c", "4", "-d", "2s", *rate)
    found = document(tmp_path)
    blames_the_servers(done, found)
    assert "No request was answered" in done.out
    assert found["total"]["cut"] == found["total"]["unanswered"] == (40 if rate else 4)
    assert found["sent"] == len(server.requests) == 4


def test_hung_connections_of_a_closed_loop_are_the_server_s_fault(tmp_path: Path, engine: str) -> None:
    """Two of forty connections hang, from the warm-up on."""
    hangs = in_turns([silent, silent, QUICK])
    done, _ = play([hangs], tmp_path, engine, "-c", "40", "-d", "2s", "--warmup", "1s", "--slo", "errors<1%")
    found = document(tmp_path)
    assert found["total"]["unanswered"] == 2
    if blames_the_servers(done, found):
        assert found["slos"][0]["value"] == pytest.approx(5, abs=0.1)
    assert all(check["ok"] for check in found["trust"]["checks"] if check["name"] == "time unaccounted for")


def test_a_closed_loop_that_is_frozen_at_its_end_is_the_server_s_fault(tmp_path: Path, engine: str) -> None:
    done, _ = play([silent_after(1.5)], tmp_path, engine, "-c", "8", "-d", "3s", "--slo", "errors<1%")
    found = document(tmp_path)
    assert found["total"]["unanswered"] == 8
    law = [check for check in found["trust"]["checks"] if check["name"] == "time unaccounted for"]
    assert law
    assert law[0]["ok"], law
    blames_the_servers(done, found)


def test_the_rate_of_a_slow_server_counts_all_requests_that_ended_in_the_window(tmp_path: Path, engine: str) -> None:
    """Each connection is always inside of a request, so one request at most is missing at the ends of the window."""
    done, (server,) = play(
        [delayed(1.0)], tmp_path, engine, "-c", "10", "-d", "5500ms", "--warmup", "2300ms", "--slo", "rate>0.1/s"
    )
    assert done.code in (0, 3), done.out
    found = document(tmp_path)
    total, measured_s = found["total"], found["measured_s"]
    shortest_s, longest_s = 0.999, total["response_ms"]["max"]["low"] / 1000
    assert 10 * (measured_s / longest_s - 1) <= total["ok"] <= 10 * (measured_s / shortest_s + 1)
    assert total["per_s"] == pytest.approx(total["ok"] / measured_s)
    assert (total["errors"], total["unanswered"]) == (0, 0)
    assert total["ok"] + total["cut"] == total["due"] <= found["sent"] == len(server.requests)
    own = rows(tmp_path)
    assert sum(int(row["ok_operations"]) for row in own if row["iteration"] == "0") == total["ok"]
    assert all(check["ok"] for check in found["trust"]["checks"] if check["name"] == "time unaccounted for")


def test_a_server_that_is_frozen_when_the_window_opens_misses_the_objective(tmp_path: Path, engine: str) -> None:
    """From 0.5 s before the opening until 1 s after it.  Of thousands of requests only 16 waited, each for 1.5 s."""
    frozen = paused(1.0, 2.5, QUICK)
    done, _ = play([frozen], tmp_path, engine, "-c", "16", "-d", "3s", "--warmup", "1500ms", "--slo", "max<500ms")
    found = document(tmp_path)
    assert found["total"]["response_ms"]["max"]["low"] > 1400
    if blames_the_servers(done, found):
        assert [check["ok"] for check in found["slos"]] == [False]


def test_the_fates_of_each_target_add_up_to_what_its_server_counted(tmp_path: Path, engine: str) -> None:
    mixed = in_turns([good, error_500, good, resets, good, hangs_up, silent, silent, QUICK])
    done, servers = play([mixed, QUICK], tmp_path, engine, "--rate", "200/s", "-c", "100", "-d", "2s")
    assert done.code in (0, 3), done.out
    found, parts = document(tmp_path), rows(tmp_path)
    for target, server in zip(found["targets"], servers, strict=True):
        fates = target["ok"] + target["errors"] + target["cut"]
        assert fates == target["due"] == target["sent"] == len(server.requests) == 200
        assert sum(target["errors_by_outcome"].values()) == target["errors"]
        own = [row for row in parts if row["target"] == target["name"]]
        for name, column in (("ok", "ok_operations"), ("errors", "failed_operations"), ("cut", "cut_operations")):
            assert sum(int(row[column]) for row in own) == target[name]
    assert found["targets"][0]["errors"] == 3
    assert found["targets"][0]["unanswered"] == 2
    assert found["total"]["due"] == found["sent"] == 400
