"""Runs that begin in the same second get records of their own."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest

from coordinator.record.document import unfinished
from coordinator.record.header import RecordError
from coordinator.record.writer import RUN, RecordWriter, claim_directory
from tests.support import results
from tests.support.cli import LOADGEN

AT = datetime(2026, 2, 3, 4, 5, 6)
START = unfinished(results.header())

_CLAIM = """
import sys
import threading
from datetime import datetime
from pathlib import Path
from coordinator.record.writer import claim_directory
print("ready", flush=True)
sys.stdin.readline()
for _ in range(50):
    print(claim_directory(datetime(2026, 2, 3, 4, 5, 6), Path(sys.argv[1])).name)
"""


def test_four_processes_that_claim_at_once_get_different_names(tmp_path: Path) -> None:
    words = [sys.executable, "-c", _CLAIM, str(tmp_path / "runs")]
    children = [subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    with ThreadPoolExecutor(4) as pool:
        outputs = list(pool.map(lambda child: child.communicate("\n")[0], children))
    names = [name for output in outputs for name in output.split()]
    assert len(names) == 200
    assert len(set(names)) == 200
    assert {name.removeprefix("2026-02-03T04-05-06-spec") for name in names} == {
        "",
        *(f"-{number}" for number in range(2, 201)),
    }


def test_a_claimed_name_is_not_given_again_before_a_record_is_begun(tmp_path: Path) -> None:
    first, second = claim_directory(AT, tmp_path), claim_directory(AT, tmp_path)
    assert first != second
    RecordWriter(first, START).close()
    RecordWriter(second, START).close()


def test_a_name_that_is_a_dangling_link_is_taken(tmp_path: Path) -> None:
    (tmp_path / "2026-02-03T04-05-06-spec").symlink_to(tmp_path / "nowhere")
    assert claim_directory(AT, tmp_path).name == "2026-02-03T04-05-06-spec-2"


@pytest.mark.parametrize("parent", ["file", "/proc", "file/deeper"])
def test_a_parent_that_cannot_hold_records_is_one_line(parent: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecordError, match="the record cannot be written to") as raised:
        claim_directory(AT, tmp_path / parent)
    assert "\n" not in raised.value.message


def test_two_writers_of_one_directory_do_not_overwrite_each_other(tmp_path: Path) -> None:
    first = RecordWriter(tmp_path / "run", START | {"started_at": "first"})
    with pytest.raises(RecordError, match="another loadgen is writing"):
        RecordWriter(tmp_path / "run", START | {"started_at": "second"})
    first.close()
    assert json.loads((tmp_path / "run" / RUN).read_text())["started_at"] == "first"
    with pytest.raises(RecordError, match="the directory is not empty"):
        RecordWriter(tmp_path / "run", START)


def test_a_run_that_cannot_begin_leaves_no_directory(tmp_path: Path) -> None:
    done = subprocess.run(
        [LOADGEN, "http", "http://127.0.0.1:1/", "-d", "1s", "-c", "1"],
        cwd=tmp_path,
        env={**os.environ, "TERM": "dumb"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert list(tmp_path.rglob("*-http*")) == []


def test_who_looks_at_a_record_does_not_keep_it_from_being_written(tmp_path: Path) -> None:
    RecordWriter(tmp_path / "run", START).close()
    looking = os.open(tmp_path / "run", os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(looking, fcntl.LOCK_SH)  # as is_being_written() does for a moment
    threading.Timer(0.01, lambda: os.close(looking)).start()
    with RecordWriter(tmp_path / "run", START | {"started_at": "again"}, again=True):
        assert json.loads((tmp_path / "run" / RUN).read_text())["started_at"] == "again"
