"""Slurm on one machine, as a batch script sees it: `python fake_slurm.py PROGRAM [ARGUMENT]...`.

Programs: sbatch (like --wait: its exit code is the exit code of the job), srun, scontrol, getent, and `loadgen`, which
records how it was called.  Options that Slurm does not have, or that stand where Slurm does not read them, are refused.
Options of Slurm that this program does not know are refused, too, because no test would check them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NoReturn

_NUMBER = r"[1-9]\d*"
# Pattern of a value; None for an option without a value.
_SBATCH: dict[str, str | None] = {
    "job-name": r"\S+",
    "nodes": _NUMBER,
    "ntasks-per-node": _NUMBER,
    "cpus-per-task": _NUMBER,
    "exclusive": None,
    "time": r"(\d+-)?\d+(:\d\d){0,2}",
    "signal": r"([BR]:)?[A-Z0-9]+(@\d+)?",
    "output": r"\S+",
}
_SRUN: dict[str, str | None] = {
    "nodes": _NUMBER,
    "ntasks": _NUMBER,
    "ntasks-per-node": _NUMBER,
    "cpus-per-task": _NUMBER,
    "relative": r"\d+",
    "kill-on-bad-exit": r"[01]",
}
_JOB = "4711"
_PATIENCE_S = 60
"""Time limit of every process, in seconds.  A process that reaches it has failed."""


def _refuse(program: str, why: str) -> NoReturn:
    sys.stderr.write(f"{program}: error: {why}\n")
    sys.exit(1)


def _options(program: str, known: dict[str, str | None], words: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return the long options at the beginning, and the words after them."""
    found: dict[str, str] = {}
    while words and words[0].startswith("-"):
        name, _, value = words.pop(0).removeprefix("--").partition("=")
        if name not in known:
            _refuse(program, f"unrecognized option '--{name}'")
        form = known[name]
        if not (value == "" if form is None else re.fullmatch(form, value)):
            _refuse(program, f"invalid value of --{name}: '{value}'")
        found[name] = value
    return found, words


def _directives(script: str) -> list[str]:
    """Return the options inside the script; Slurm does not read any after the first command."""
    found, began = [], False
    for line in script.splitlines():
        if line.startswith("#SBATCH"):
            if began:
                _refuse("sbatch", f"behind the first command, so not read: {line}")
            found += line.split()[1:]
        elif line.strip() and not line.startswith("#"):
            began = True
    return found


def _sbatch(words: list[str]) -> int:
    outside, rest = _options("sbatch", _SBATCH, words)
    if not rest:
        _refuse("sbatch", "no script")
    script = Path(rest[0]).read_text(encoding="utf-8")
    if not script.startswith("#!"):
        _refuse("sbatch", "this does not look like a batch script: its first line is not #!")
    inside, more = _options("sbatch", _SBATCH, _directives(script))
    if more:
        _refuse("sbatch", f"not an option: {more[0]}")
    chosen = inside | outside
    nodes = chosen["nodes"]
    environment = {
        **os.environ,
        "SLURM_JOB_ID": _JOB,
        "SLURM_JOB_NUM_NODES": nodes,
        "SLURM_JOB_NODELIST": f"node[1-{nodes}]",
        "SLURM_SUBMIT_DIR": str(Path.cwd()),
        "SLURMD_NODENAME": "node1",
        **({"SLURM_CPUS_PER_TASK": chosen["cpus-per-task"]} if "cpus-per-task" in chosen else {}),
    }
    # Slurm runs a copy: files beside the script are not beside the copy.
    with tempfile.TemporaryDirectory() as elsewhere, Path(chosen["output"].replace("%j", _JOB)).open("wb") as output:
        copy = Path(elsewhere) / "slurm_script"
        copy.write_text(script, encoding="utf-8")
        with subprocess.Popen(
            [script.splitlines()[0].removeprefix("#!"), copy, *rest[1:]], env=environment, stdout=output, stderr=output
        ) as job:
            # When the time is nearly over, the batch shell alone gets the requested signal; soon after, the job is
            # killed.
            asked = re.fullmatch(r"B:([A-Z]+)@\d+", chosen.get("signal", ""))
            last = signal.Signals[f"SIG{asked[1]}"] if asked else signal.SIGKILL
            signal.signal(signal.SIGTERM, lambda *_: job.send_signal(last))
            return job.wait()


def _srun(words: list[str]) -> int:
    chosen, command = _options("srun", _SRUN, words)
    nodes, first = int(chosen["nodes"]), int(chosen.get("relative", "0"))
    if first + nodes > int(os.environ["SLURM_JOB_NUM_NODES"]):
        _refuse("srun", "more nodes requested than the job has")
    if int(chosen["ntasks"]) != nodes * int(chosen["ntasks-per-node"]):
        _refuse("srun", "as many tasks do not fit")
    tasks: list[subprocess.Popen[bytes]] = []

    def end(*_: object) -> None:
        for task in tasks:
            task.terminate()

    signal.signal(signal.SIGTERM, end)
    for number in range(int(chosen["ntasks"])):
        where = f"node{first + 1 + number // int(chosen['ntasks-per-node'])}"
        place = {"SLURM_PROCID": str(number), "SLURMD_NODENAME": where}
        tasks.append(subprocess.Popen(command, env={**os.environ, **place}))
    return max(task.wait() for task in tasks)


def _scontrol(words: list[str]) -> int:
    match words:
        case ["show", "hostnames", listed] if found := re.fullmatch(r"(\w+)\[(\d+)-(\d+)\]", listed):
            for number in range(int(found[2]), int(found[3]) + 1):
                sys.stdout.write(f"{found[1]}{number}\n")
            return 0
    _refuse("scontrol", f"invalid: {words}")


def _getent(words: list[str]) -> int:
    match words:
        case ["ahosts", name] if name.startswith("node"):
            for kind in ("STREAM", "DGRAM", "RAW"):
                sys.stdout.write(f"127.0.0.{name.removeprefix('node')}    {kind} {name}\n")
            return 0
    return 2  # this is how getent says that there is no such name


def _loadgen(words: list[str]) -> int:
    """Record the call, and do what a batch script can see of the real loadgen."""
    calls, over = Path(os.environ["FAKE_CALLS"]), Path(os.environ["FAKE_CALLS"]) / "over"
    said: dict[str, Any] = {"argv": words, "node": os.environ.get("SLURMD_NODENAME"), "pid": os.getpid()}
    code = 0

    def write() -> None:
        (calls / f"{os.getpid()}.part").write_text(json.dumps(said), encoding="utf-8")
        (calls / f"{os.getpid()}.part").rename(calls / f"{os.getpid()}.json")

    def until(happened: Any) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while not happened() and time.monotonic() < deadline:
            time.sleep(0.01)

    def stop(*_: object) -> NoReturn:
        """Stop like the real command at the first signal."""
        said["stopped"] = True
        write()
        over.touch()
        sys.exit(4 if words[0] == "spec" else 0)

    signal.signal(signal.SIGTERM, stop)
    match words:
        case ["fleet", "certificates", directory, "--workers", number]:
            for name in ("coordinator", *(f"worker-{n}" for n in range(int(number)))):
                (Path(directory) / f"{name}.pem").write_text(name, encoding="utf-8")
            write()
        case ["worker", *_]:
            said["certificate"] = Path(words[words.index("--cert") + 1]).read_text(encoding="utf-8")
            write()
            until(over.exists)
        case ["spec", *_]:
            wanted = int(words[words.index("--workers") + 1]) + 1
            does = os.environ["FAKE_RUN"]
            until(lambda: len(list(calls.glob("*.json"))) >= wanted)
            write()
            if does == "wait":
                until(lambda: False)
            if does != "refuse":
                over.touch()
            code = {"refuse": 2, "play": 0, "wait": 70}[does]
    return code


_PROGRAMS = {"sbatch": _sbatch, "srun": _srun, "scontrol": _scontrol, "getent": _getent, "loadgen": _loadgen}


def install(place: Path) -> None:
    """Install these programs and a short sleep in `place`, which must be the first directory of PATH."""
    for name in _PROGRAMS:
        _write(place / name, f'exec {sys.executable} -S -E {__file__} {name} "$@"')
    _write(place / "sleep", f"exec {shutil.which('sleep')} 0.05")


def _write(script: Path, command: str) -> None:
    script.write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
    script.chmod(0o755)


if __name__ == "__main__":
    sys.exit(_PROGRAMS[sys.argv[1]](sys.argv[2:]))
