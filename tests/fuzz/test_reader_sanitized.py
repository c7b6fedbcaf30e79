"""Runs the compiled reply reader under the address and undefined-behaviour sanitizers for a few seconds."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from loadgen.schedule.optape import OpTape
from tests.support.readers import PythonReading, Read
from tests.support.streams import make_stream, stream_tape

SOURCES = Path(__file__).parents[2] / "loadgen" / "engine" / "compiled"
READER = ("reply", "head", "framing", "body")
STREAMS, SEED, SECONDS = 500, 7, 2.0
FLAGS = ["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined"]


def tape_bytes(tape: OpTape) -> bytes:
    strings = tape.strings
    sizes = struct.pack("=4I", len(tape.ops), len(tape.checks), len(strings), len(strings.data))
    return sizes + tape.ops.tobytes() + tape.checks.tobytes() + strings.offsets.tobytes() + strings.data


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The driver program, built with sanitizers."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    target = tmp_path_factory.mktemp("sanitized") / "reader"
    why = "no C compiler"
    if compiler:
        files = [Path(__file__).with_name("reader_driver.c"), *(SOURCES / f"{name}.c" for name in READER)]
        built = subprocess.run(
            [compiler, *FLAGS, "-fno-sanitize-recover=all", f"-I{SOURCES}", "-o", target, *files],
            capture_output=True,
            text=True,
        )
        if built.returncode == 0:
            return target
        why = built.stderr
        assert "sanitize" in why or "asan" in why, why  # any other error is in the code under test
    if os.environ.get("CI") == "true":
        pytest.fail(f"the sanitizers are required in CI: {why}")
    pytest.skip(f"the sanitizers are not available: {why}")


def test_the_compiled_reader_stays_in_its_memory_and_agrees_with_the_python_reader(driver: Path) -> None:
    tape = stream_tape(STREAMS)
    streams = [make_stream(row, SEED) for row in range(STREAMS)]
    given = tape_bytes(tape) + struct.pack("=I", STREAMS)
    given += b"".join(struct.pack("=2I", row, len(stream)) + stream for row, stream in enumerate(streams))
    # Under ptrace the leak check fails; the other checks still work.
    ran = subprocess.run([driver, str(SECONDS)], input=given, capture_output=True, timeout=60)
    assert ran.returncode == 0, ran.stderr.decode()
    reading = PythonReading(tape)
    for row, (stream, line) in enumerate(zip(streams, ran.stdout.decode().splitlines(), strict=True)):
        result, fed, status, body_bytes, reusable, started, cookie, verdict, surplus = map(int, line.split())
        found = Read(
            result, fed, status, body_bytes, bool(reusable), bool(started), bool(cookie), verdict, bool(surplus)
        )
        assert found == replace(reading.read(row, [stream]), wrong=b""), (row, stream)
    assert int(ran.stderr.split()[0]) >= STREAMS  # each stream was mutated at least once, even on a slow machine
