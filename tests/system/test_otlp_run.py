"""`--otlp` of a run: a receiver gets its metrics, and a dead one is told of once and changes nothing."""

from __future__ import annotations

from pathlib import Path

from deploy.null_responder import null_responder
from tests.support.cli import Done, loadgen
from tests.support.otlp_receiver import dead, receiver


def run(directory: Path, url: str) -> Done:
    with null_responder(64, 1) as port:
        target = f"http://127.0.0.1:{port}/"
        words = ("http", target, "--connections", "1", "--rate", "20", "--duration", "3s", "--otlp", url)
        return loadgen(*words, "--out", directory / "run", cache=directory, cwd=directory)


def test_a_receiver_gets_the_metrics_of_a_run(tmp_path: Path) -> None:
    with receiver() as received:
        done = run(tmp_path, received.url)
    assert done.code in (0, 1, 3), done.err
    points = received.points()
    assert {"loadgen.run.phase", "loadgen.run.elapsed", "loadgen.target.connections"} <= {name for name, *_ in points}
    assert max(value for name, _, _, value in points if name == "loadgen.run.operations") > 0
    assert received.resource()["service.name"] == "loadgen"
    assert "receiver of metrics" not in done.err


def test_a_dead_receiver_is_told_of_once_and_the_run_has_its_result(tmp_path: Path) -> None:
    done = run(tmp_path, dead())
    assert done.code in (0, 1, 3), done.err
    assert done.err.count("the receiver of metrics at") == 1
    assert "Traceback" not in done.err
    assert "requests/s" in done.out or "INVALID" in done.out
    assert (tmp_path / "run" / "run.json").exists()
