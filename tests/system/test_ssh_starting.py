"""What a machine prints instead of starting loadgen, or before, is shown; over a real sshd."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.hosts import remote
from deploy.hosts.inventory import Host
from deploy.hosts.ssh import Ssh
from loadgen.agent.bootstrap import Collect, Serve, bootstrap
from loadgen.model.errors import FleetError
from tests.support.cli import LOADGEN
from tests.support.local_sshd import LocalSshd, as_user, local_sshd
from tests.support.machines import needs_machines

pytestmark = needs_machines

SECRET = "-----BEGIN PRIVATE KEY-----"
LATE = "loadgen did not start there within 2 s; the machine printed "


def started(sshd: LocalSshd, host: Host, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    """Start a worker: the end of the program or the reason why it does not start, and the notes."""
    as_user(sshd, monkeypatch)
    notes: list[str] = []

    async def work() -> str:
        link = await Ssh(notes.append).connect(host)
        try:
            if host.spool:
                task = bootstrap(Collect(run_id="r", name="x", spool=host.spool))
            else:
                task = bootstrap(Serve(name="x", scheduler="tls://127.0.0.1:9", credentials=SECRET))
            worker = await link.start("mark", task)
            try:
                while await worker.receive() is not None:
                    pass
                return await worker.why_ended()
            finally:
                await worker.close()
        finally:
            await link.close()

    try:
        return asyncio.run(work()), notes
    except FleetError as error:
        return error.message, notes


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ("ForceCommand echo 'This account is currently not available.'; exit 1",),
            "it exited with code 1; the machine printed 'This account is currently not available.' instead of "
            "starting loadgen: may the account run commands there (its login shell, ForceCommand)?",
        ),
        (("ForceCommand cat",), f"{LATE}'what loadgen had sent to it'"),
        (("ForceCommand echo 'Choose: [1] shell'; sleep 60",), f"{LATE}'Choose: [1] shell'"),
        (("ForceCommand internal-sftp",), "it exited with code "),
        (("ForceCommand echo no >&2; exit 3",), "it exited with code 3: no"),
    ],
    ids=["nologin", "echoes", "menu", "sftp", "stderr"],
)  # fmt: skip
def test_what_a_machine_prints_instead_of_starting_loadgen_is_shown(
    lines: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_HELLO_TIMEOUT_S", 2.0)
    with local_sshd(tmp_path, *lines) as sshd:
        found, _ = started(sshd, Host(name="h"), monkeypatch)
    assert found.startswith(said), found
    assert SECRET not in found


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[LocalSshd]:
    with local_sshd(tmp_path) as made:
        yield made


def test_output_of_a_start_up_file_is_skipped_and_shown(
    sshd: LocalSshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The login shell of these tests reads the file only if it is bash; a starter that prints does the same."""
    starter = tmp_path / "starter"
    starter.write_text("#!/bin/sh\necho 'Welcome to h'\nprintf '\\033[1mAll use is logged\\n'\nexec \"$@\"\n")
    starter.chmod(0o755)
    found, notes = started(sshd, Host(name="h", command=f"{starter} {LOADGEN}", spool="/none"), monkeypatch)
    assert "it exited with code 3: there is no spool of x in run r here" in found
    assert notes == ["the login shell of h printed 'Welcome to h .[1mAll use is logged' before loadgen; it is skipped"]


@pytest.mark.parametrize(
    "starter", ["nice -n 5", "env A='b c' nice", 'sh -c \'exec "$0" "$@"\''], ids=["nice", "env", "sh"]
)
def test_a_program_may_start_loadgen(starter: str, sshd: LocalSshd, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = started(sshd, Host(name="h", command=f"{starter} {LOADGEN}", spool="/none"), monkeypatch)
    assert "there is no spool of x in run r here" in found


def test_a_machine_short_of_memory_says_so(sshd: LocalSshd, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit_bytes in (40_000_000, 130_000_000):
        host = Host(name="h", command=f"prlimit --as={limit_bytes} {LOADGEN}")
        found, _ = started(sshd, host, monkeypatch)
        assert "emory" in found or "map segment" in found, found
        assert "lines above" not in found
