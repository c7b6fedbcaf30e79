"""Builds and starts the server of the engine benchmark (engine_responder.c), and reads its counters."""

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
    """A running responder.  `words` are its counters (uint64): requests, then latencies in buckets of 1 µs."""

    pid: int
    ports: tuple[int, ...]
    words: memoryview

    def url(self, size_bytes: int) -> str:
        """The URL of a body of `size_bytes`."""
        return f"http://127.0.0.1:{self.ports[0]}/{size_bytes}"

    @property
    def requests(self) -> int:
        """The number of requests answered so far."""
        return int(self.words[0])

    def truth(self) -> NDArray[np.int64]:
        """How many requests took 0, 1, … µs so far, from arrival in the kernel to the end of the reply's send."""
        return np.array(self.words[1:], dtype=np.int64)


def build(directory: Path) -> Path:
    """Compile the responder into `directory`; returns the program."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise SystemExit("no C compiler (cc) found: this benchmark compiles its own server")
    program = directory / "engine_responder"
    subprocess.run([compiler, "-O2", "-o", str(program), str(_SOURCE)], check=True)
    return program


@contextlib.contextmanager
def serving(program: Path, core: int, *, delay_us: int = 0, ports: int = 1) -> Iterator[Responder]:
    """Run the responder `program` on `core` inside the context, with `ports` ports and a delay of `delay_us`."""
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
            raise SystemExit("the responder did not start: it printed no ports")
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
    """Percentile `q` by nearest rank, in ms: the middle of its bucket."""
    total = int(truth.sum())
    if not total:
        raise SystemExit("the responder counted no latencies: this kernel may not time-stamp received data")
    rank = max(1, int(np.ceil(round(q / 100 * total, 6))))
    return (int(np.searchsorted(np.cumsum(truth), rank)) + 0.5) / 1e3
