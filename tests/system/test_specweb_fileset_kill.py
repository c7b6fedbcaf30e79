"""A file set whose generation was killed is repaired by the next generation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from workloads.specweb99 import fileset

STOPS_AT = """
import sys, time
from pathlib import Path
from workloads.specweb99 import files, fileset

content = files.content
def stop(directory, class_, num):
    if (directory, class_, num) == (2, {class_}, {num}):
        print("there", flush=True)
        time.sleep(60)
    return content(directory, class_, num)

files.content = stop
fileset.ensure(Path(sys.argv[1]), 4)
"""


@pytest.mark.parametrize(("class_", "num"), [(0, 0), (2, 4), (3, 8)])
def test_a_killed_generation_is_repaired(tmp_path: Path, class_: int, num: int) -> None:
    script = STOPS_AT.format(class_=class_, num=num)
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"there\n"
        process.kill()
    assert (tmp_path / ".making-dir00002").is_dir()
    assert sorted(path.name for path in (tmp_path / "file_set").iterdir()) == ["dir00000", "dir00001"]
    assert fileset.verify(tmp_path, 2) == []

    assert fileset.ensure(tmp_path, 4).made == 2
    assert fileset.verify(tmp_path, 4) == []
    assert not list(tmp_path.glob(".making-*"))
