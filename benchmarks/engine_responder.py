"""The server of the engine benchmark (engine_responder.c): built, started on a core of its own, and looked at."""

from __future__ import annotations

import contextlib
import mmap
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_SOURCE = Path(__file__).with_name("engine_responder.c")


@dataclass(frozen=True, slots=True)
class Responder:
    """One that runs.  Its counters are 64-bit words of a mapped file: requests, then the truth by microsecond."""

    pid: int
    ports: tuple[int, ...]
    words: memoryview

    def url(self, size_bytes: int) -> str:
        """Where a body of so many bytes is."""
        return f"http://127.0.0.1:{self.ports[0]}/{size_bytes}"

    @property
    def requests(self) -> int:
        """Answered so far."""
        return int(self.words[0])

    def truth(self) -> NDArray[np.int64]:
        """How many requests took 0, 1, … µs so far: from arrival in the kernel to the end of the reply's send."""
        return np.array(self.words[1:], dtype=np.int64)


def build(directory: Path) -> Path:
    """Compile it into `directory`."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise SystemExit("this needs a C compiler (cc): the server must cost less than any client")
    program = directory / "engine_responder"
    subprocess.run([compiler, "-O2", "-o", str(program), str(_SOURCE)], check=True)
    return program


@contextlib.contextmanager
def serving(program: Path, core: int, *, delay_us: int = 0, ports: int = 1) -> Iterator[Responder]:
    """Run it on `core`."""
    file = program.with_name(f"stats-{delay_us}-{ports}")
    process = subprocess.Popen(
        [str(program), str(file), str(delay_us), str(ports)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    try:
        assert process.stdout is not None
        numbers = [int(word) for word in process.stdout.readline().split()]
        if not numbers:
            raise SystemExit("the responder did not start")
        with file.open("rb") as mapped, mmap.mmap(mapped.fileno(), 0, prot=mmap.PROT_READ) as memory:
            words = memoryview(memory).cast("Q")
            try:
                yield Responder(process.pid, tuple(numbers), words)
            finally:
                words.release()
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        file.unlink(missing_ok=True)


def percentile_ms(truth: NDArray[np.int64], q: float) -> float:
    """By nearest rank; the middle of its microsecond."""
    total = int(truth.sum())
    if not total:
        raise SystemExit("the responder counted nothing: does this kernel stamp what it receives?")
    rank = max(1, int(np.ceil(round(q / 100 * total, 6))))
    return (int(np.searchsorted(np.cumsum(truth), rank)) + 0.5) / 1e3
