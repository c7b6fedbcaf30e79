"""Plays a set-up through the command line, as a user would, and reads the answer."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.engine_responder import percentile_ms
from benchmarks.trust_disturbances import WARMUP_S, Disturbance, Scene, quiet
from benchmarks.trust_judging import NO_ENGINE, Right, Trial
from benchmarks.trust_places import ImpossibleError, Where, here
from benchmarks.trust_servers import LOADGEN, Serve, Stage

_PLAYS_ENGINES = ("spec", "http")
_TIMEOUT_S = 60.0
_BEGIN_S = 30.0
_TRIES = 4
_LOOKS, _LOOK_S = 120, 0.5
_MAX_OTHERS = 0.15
"""Share of a core that other processes may use on average over a trial; an idle machine uses 1 to 3 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """A known set-up, and the right answer to it.

    `command`: of `loadgen`, with `options`.  `loop`: open, closed, or paced (a closed loop at the line's speed); of
    network runs what is sent.  `when`: the text of the progress line at which the disturbance begins; "" is at once.
    """

    name: str
    command: str
    loop: str
    right: Right
    serve: Serve
    options: tuple[str, ...] = ()
    disturb: Disturbance = quiet
    when: str = "warm-up"
    where: Where = here

    @property
    def title(self) -> str:
        """The name in the table, unique among all set-ups."""
        return f"`{self.command}`, {self.loop}, {self.name}"

    def engines(self, all_engines: Sequence[str]) -> Sequence[str]:
        """The engines that play it."""
        return all_engines if self.command in _PLAYS_ENGINES else (NO_ENGINE,)


def play(setup: Setup, engine: str, responder: Path, cores: tuple[int, int], seconds: float) -> Trial:
    """One trial on two cores: that of the load generator, and that of the servers.

    `seconds`: length of the measured window.  A trial beside other work on the machine is repeated.  Raises
    ImpossibleError where this machine cannot make the set-up.
    """
    for _ in range(_TRIES):
        _wait_for_quiet()
        before, began = _others_s(), time.monotonic()
        trial = _play(setup, engine, responder, cores, seconds)
        others = (_others_s() - before) / (time.monotonic() - began)
        if others <= _MAX_OTHERS:
            return trial
        print(
            f"    again: processes without a part in this benchmark used {100 * others:.0f} % of a core",
            file=sys.stderr,
        )
    raise ImpossibleError("other processes always used the machine")


def _play(setup: Setup, engine: str, responder: Path, cores: tuple[int, int], seconds: float) -> Trial:
    with contextlib.ExitStack() as ends:
        scratch = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="loadgen-trust-")))
        places = ends.enter_context(setup.where(cores))
        served = ends.enter_context(setup.serve(Stage(places, responder, scratch)))
        command = [LOADGEN, setup.command, *served.arguments, *_timing(setup.command, engine, seconds)]
        command += [*setup.options, "--json", "--out", str(scratch / "record")]
        run = places.generator.start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        ends.callback(_end, run)
        progress = _Progress(run)
        progress.wait_for(setup.when)
        with setup.disturb(Scene(run.pid, served, places, seconds)):
            said, ended = progress.output()
        truth = served.truth() if served.truth is not None else None
    if not said:
        print(f"    {setup.title}, {engine}: {progress.last}", file=sys.stderr)
    return answer(setup.title, engine, run.returncode if ended else None, json.loads(said) if said else {}, truth)


def answer(
    title: str, engine: str, code: int | None, document: dict[str, Any], truth: NDArray[np.int64] | None
) -> Trial:
    """The answer in the JSON document of a run, compared with the true response times."""
    checks = document.get("trust", {}).get("checks", [])
    times = document.get("total", {}).get("response_ms", {})
    known = truth is not None and truth.sum() > 0
    errors = [
        times[name]["low"] - percentile_ms(truth, q) if known and truth is not None and times.get(name) else None
        for name, q in (("p50", 50), ("p99", 99))
    ]
    return Trial(
        setup=title,
        engine=engine,
        code=code,
        failed=tuple(check["name"] for check in checks if not check["ok"]),
        text="\n".join((*document.get("reasons", ()), *document.get("notes", ()))),
        p50_error_ms=errors[0],
        p99_error_ms=errors[1],
    )


def _timing(command: str, engine: str, seconds: float) -> list[str]:
    """The durations of a short run, and its engine."""
    if command == "forward":
        return []  # it measures many paths; each set-up says how long
    if command == "iperf":
        return ["--duration", f"{seconds:g}s", "--repeats", "1"]
    played = ["--engine", engine, "--engines", "1", "--warmup", f"{WARMUP_S:g}s", "--duration", f"{seconds:g}s"]
    if command == "spec":
        played += ["--ramp-up", "300ms", "--ramp-down", "500ms"]
    return played


class _Progress:
    """The progress lines and the output of a run, read in the background."""

    def __init__(self, run: subprocess.Popen[str]) -> None:
        self._run = run
        self._lines: list[str] = []
        self._more = threading.Condition()
        self._over = False
        self._said = ""
        self._readers = [threading.Thread(target=self._read_progress), threading.Thread(target=self._read_output)]
        for reader in self._readers:
            reader.start()

    @property
    def last(self) -> str:
        """The last lines."""
        return " ".join(self._lines[-3:])

    def wait_for(self, text: str) -> None:
        """Wait until a line contains the text, or the run ends."""
        with self._more:
            self._more.wait_for(lambda: self._over or any(text in line for line in self._lines) or not text, _BEGIN_S)

    def output(self) -> tuple[str, bool]:
        """What the run printed, and whether it ended in time; it is killed otherwise."""
        try:
            self._run.wait(_TIMEOUT_S)
            ended = True
        except subprocess.TimeoutExpired:
            self._run.kill()
            ended = False
        for reader in self._readers:
            reader.join()
        return self._said, ended

    def _read_progress(self) -> None:
        assert self._run.stderr is not None
        for line in self._run.stderr:
            with self._more:
                self._lines.append(line.strip())
                self._more.notify_all()
        with self._more:
            self._over = True
            self._more.notify_all()

    def _read_output(self) -> None:
        assert self._run.stdout is not None
        self._said = self._run.stdout.read()


def _wait_for_quiet() -> None:
    """Wait until other processes leave the machine alone, but not for ever."""
    for _ in range(_LOOKS):
        before = _others_s()
        time.sleep(_LOOK_S)
        if _others_s() - before <= _MAX_OTHERS * _LOOK_S:
            return


def _others_s() -> float:
    """CPU seconds of this machine that this process and its collected children did not use, up to now."""
    user, nice, system = (int(word) for word in Path("/proc/stat").read_text().split()[1:4])
    used = os.times()
    mine = used.user + used.system + used.children_user + used.children_system
    return (user + nice + system) / os.sysconf("SC_CLK_TCK") - mine


def _end(run: subprocess.Popen[str]) -> None:
    run.kill()
    run.wait()
