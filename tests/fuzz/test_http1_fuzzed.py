"""Runs the fuzz target for the sans-IO reply reader for a few seconds; it must find nothing."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.streams import VARIANTS, make_stream

SECONDS, SEEDS = 4, 200
TARGET = Path(__file__).with_name("fuzz_http1.py")


def test_the_reply_reader_survives_fuzzing(tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("atheris is required in CI")
        pytest.skip("atheris is not installed: pip install 'loadgen-verdict[test]'")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for row in range(SEEDS):
        start = bytes([row % len(VARIANTS), row % 64])
        (corpus / str(row)).write_bytes(start + make_stream(row, seed=3)[:2_000])
    ran = subprocess.run(
        [sys.executable, TARGET, f"-max_total_time={SECONDS}", "-seed=1", f"-artifact_prefix={tmp_path}/", corpus],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert ran.returncode == 0, ran.stderr[-4_000:]
    assert "Done" in ran.stderr
