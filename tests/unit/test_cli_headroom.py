"""The option --check-headroom: what it refuses, and what it plays."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.experiment.headroom import CheckHeadroom
from coordinator.experiment.performance import Session
from coordinator.experiment.resume import resumable
from coordinator.record.kinds import KIND_HTTP
from loadgen.model.errors import PlanError
from tests.support.printed_plans import refusal
from tests.support.recorded import RECORDS

JOIN = ("--listen", "127.0.0.1:4711", "--certs", "certs")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("spec", "--vms", "1,2"), "--check-headroom asks about one run, but a sweep or a search has several"),
        (("spec", "--find", "vms"), "--check-headroom asks about one run, but a sweep or a search has several"),
        (
            ("http", "http://127.0.0.1/", "--find", "rate", "--rate", "9/s", "--slo", "p99<1s"),
            "--check-headroom asks about one run, but a sweep or a search has several",
        ),
        (
            ("http", "http://127.0.0.1/", *JOIN),
            "workers that join serve one run, but --check-headroom has several",
        ),
    ],
)
def test_what_it_refuses(words: tuple[str, ...], message: str) -> None:
    assert refusal(*words, "--check-headroom") == message


@pytest.mark.parametrize("words", [("spec", "--vms", "2"), ("http", "http://127.0.0.1/")])
def test_it_is_played_by_the_command(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    sessions: list[Session] = []

    def run_session(session: Session) -> int:
        sessions.append(session)
        return 0

    monkeypatch.setattr("coordinator.experiment.session.run_session", run_session)
    monkeypatch.setattr("sys.argv", ["loadgen", *words, "--check-headroom", "--engines", "1"])
    from coordinator.cli import app

    assert app.main([*words, "--check-headroom", "--engines", "1"], standalone_mode=False) == 0
    (session,) = sessions
    assert isinstance(session.experiment, CheckHeadroom)
    assert session.experiment.kind == f"{words[0]}-headroom"


def test_it_cannot_be_resumed_but_repeated(tmp_path: Path) -> None:
    RECORDS[f"{KIND_HTTP}-headroom cut"](tmp_path / "cut")
    with pytest.raises(PlanError, match="a check of headroom") as caught:
        resumable(tmp_path / "cut")
    assert caught.value.hint == f"repeat it: loadgen http --check-headroom --replay {tmp_path / 'cut' / 'run'}"
