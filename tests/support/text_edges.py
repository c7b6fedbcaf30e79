"""Feeds any text to every option of every command, in one process: `python -m tests.support.text_edges SEED EXAMPLES`.

The process's own locale is the one under test.  Each command line only parses, prints its plan or reads a record, so
no traffic flows.  A finding is printed with the command line, and the exit code is 1.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from coordinator.cli import app, main
from coordinator.cli.commands import COMMANDS

_PLANS = {
    "http": ["http://127.0.0.1:9/", "--print-plan"],
    "spec": ["--print-plan"],
    "iperf": ["127.0.0.1", "--print-plan"],
    "forward": ["--print-plan"],
}
"""Arguments with which a command does all but send: it reads each option, and prints the plan."""
_ALPHABET = "09azAZ .:/[]@%<>=,;{}\\'\"-_#?&*~$\x01\x07\x1b\x7f\u0085\n\r\té²٣½ж漢\U0001f600\u202e\udcff\udc80"
EDGES = (
    "",
    " ",
    "\n",
    "\x1b[2J",
    "\udcff",
    "a" * 100_000,
    "9" * 5_000,
    "1e999",
    "-1e999",
    "nan",
    "inf",
    "-1",
    "0",
    "٣",
    "²",
    "½",
    "[",
    "%",
    "{{",
    "=",
    ":",
    "@",
    "/",
    "..",
    "~",
    "ж",
    "\ufeff1",
    "1\u00a0000",
    "1" * 400 + "s",
    "http://[::1",
    "http://ж/",
    "http://h:99999/",
    "p99<",
    "\udcff=\udcff",
)
"""Texts that programs stumble over: empty, blank, control characters, bytes that are no text, huge, digits of others.

No argument of a process holds a zero byte: exec() takes none.
"""


def texts(dice: random.Random) -> str:
    """An argument: one of the edges, or some characters of many kinds, as this process would get it in UTF-8."""
    text = dice.choice(EDGES)
    if dice.random() < 0.5:
        text = "".join(dice.choice(_ALPHABET) for _ in range(dice.randrange(1, 12)))
    return os.fsdecode(text.encode("utf-8", "surrogateescape"))


def command_lines(dice: random.Random) -> Iterator[list[str]]:
    """Endless command lines with one strange value each."""
    names = sorted(COMMANDS)
    while True:
        name = dice.choice(names)
        taking = [one for one in _command(name).params if not (isinstance(one, click.Option) and one.is_flag)]
        if taking:
            yield [name, *_with(name, dice.choice(taking), texts(dice))]


def _command(name: str) -> click.Command:
    command = app.get_command(click.Context(app), name)
    assert command is not None
    return command


def _with(name: str, parameter: click.Parameter, value: str) -> list[str]:
    usual = _PLANS.get(name, [])
    if isinstance(parameter, click.Option):
        return [*usual, f"{max(parameter.opts, key=len)}={value}"]
    return [*[word for word in usual if word.startswith("--")], value]


def wrong(words: list[str]) -> str:
    """What is wrong with how the command line `words` ended; empty when nothing is."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=sys.stdout.encoding, errors="strict") for _ in range(2))
    err = io.TextIOWrapper(io.BytesIO(), encoding=sys.stderr.encoding, errors=sys.stderr.errors)
    plans = words[0] in _PLANS
    sys.argv = ["loadgen", *words]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main() if plans else _parse(words)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the finding
        return f"{type(error).__name__}: {error}"
    err.flush()
    said = err.buffer.getvalue()
    lines = said.splitlines()
    if code not in (0, 2):
        return f"exit code {code}: {said[-500:]!r}"
    if b"Traceback" in said:
        return f"a traceback: {said[-500:]!r}"
    if code == 2 and not (1 <= len(lines) <= 2 and lines[0].startswith(b"loadgen: ")):
        return f"not one line and a hint: {said[-500:]!r}"
    if any(byte < 0x20 and byte != 0x0A for byte in said):
        return f"control characters: {said[-500:]!r}"
    return ""


def _parse(words: list[str]) -> int:
    """Parse a command line of a command that would act; returns its exit code."""
    command = _command(words[0])
    with contextlib.suppress(click.exceptions.Exit, click.ClickException):
        command.make_context(words[0], list(words[1:]), parent=click.Context(app, info_name="loadgen"))
    return 0


def search(seed: int, examples: int) -> list[str]:
    """Try `examples` command lines; returns the findings."""
    dice, found = random.Random(seed), []
    lines = command_lines(dice)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for _ in range(examples):
            words = next(lines)
            if finding := wrong(words):
                found.append(f"{[word[:80] for word in words]!a}: {finding}")
        left = [one.name for one in Path(folder).iterdir()]
    return found + [f"a file was left: {name!a}" for name in left]


if __name__ == "__main__":
    findings = search(int(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.write("".join(f"{one}\n" for one in findings))
    sys.exit(1 if findings else 0)
