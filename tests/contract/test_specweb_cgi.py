"""The CGI operation of the reference server: a process per request, and scripts that fail."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.specweb_server import FILE, Client, Place, run
from workloads.specweb99 import ads, cgi, urls


def test_the_cgi_operation_runs_a_process_for_each_request(place: Place) -> None:
    script = place.workdir / "pid.sh"
    script.write_text("printf 'X: 1\\nStatus: 201 Made\\n\\n%s' $$")

    async def scenario(client: Client) -> None:
        replies = [await client.get(f"{urls.DYNAMIC_CGI}?{FILE}") for _ in range(3)]
        assert [(reply.status, reply.headers["x"]) for reply in replies] == [(201, "1")] * 3
        pids = {int(reply.body) for reply in replies}
        assert len(pids) == 3
        for pid in pids:  # reaped: the pid of a zombie would still exist
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)

    run(replace(place.config, cgi_script=script), scenario)


@pytest.mark.parametrize("script", ["exit 3", "echo nonsense", "printf 'Status: x\\n\\n'", "printf 'A: b\\n'", ""])
def test_a_failing_cgi_script_is_reported(place: Place, script: str) -> None:
    path = place.workdir / "bad.sh"
    path.write_text(script)

    async def scenario(client: Client) -> None:
        reply = await client.get(f"{urls.DYNAMIC_CGI}?{FILE}")
        assert (reply.status, reply.cookie) == (500, ads.MISSED_COOKIE)
        assert b"the script" in reply.content

    run(replace(place.config, cgi_script=path), scenario)


def test_a_hanging_cgi_script_is_killed_with_its_children(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgi, "TIMEOUT_S", 0.2)
    path = place.workdir / "hang.sh"
    path.write_text(f"sleep 1000 & echo $$ $! > {place.workdir}/pids; wait")

    async def scenario(client: Client) -> None:
        reply = await client.get(f"{urls.DYNAMIC_CGI}?{FILE}")
        assert reply.status == 500
        assert b"did not end within" in reply.content

    run(replace(place.config, cgi_script=path), scenario)
    shell, child = (int(pid) for pid in (place.workdir / "pids").read_text().split())
    with pytest.raises(ProcessLookupError):
        os.kill(shell, 0)
    for _ in range(200):
        if is_gone(child):
            break
        time.sleep(0.01)
    assert is_gone(child)


def is_gone(pid: int) -> bool:
    """Whether a process has ended; init may not have reaped an orphan yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].startswith("Z")
    except FileNotFoundError:
        return True
