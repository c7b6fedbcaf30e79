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
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import NoReturn
from unittest import mock

import click

from coordinator.cli import app, main
from coordinator.cli.commands import COMMANDS
from loadgen.model.errors import LoadgenError

_URL = "http://127.0.0.1:9/"
_RECORD = "no-such-record"
USUAL: dict[str, tuple[list[str], ...]] = {
    "http": (
        [_URL, "--print-plan"],
        [_URL, "--rate", "9/s", "--print-plan"],
        ["https://127.0.0.1:9/", "--http2", "--print-plan"],
        [_URL, "--find", "connections", "--slo", "p99<9ms", "--print-plan"],
    ),
    "spec": (["--print-plan"], ["--workload", "support", "--print-plan"], ["--vm-driver", "ns", "--print-plan"]),
    "iperf": (
        ["127.0.0.1", "--print-plan"],
        ["127.0.0.1", "-u", "--print-plan"],
        ["127.0.0.1", "--rr", "--print-plan"],
    ),
    "forward": (["--print-plan"],),
    "pack": (["--print-plan"],),
    "isolate": (["--print-plan"],),
    "relative": (["--print-plan", "--", "true"], ["--print-plan", "--recipe", "micro"]),
    "paper": (["--print-plan"],),
    "compare": ([_RECORD, _RECORD], ["--interleave", "--plan", _RECORD, "--plan", _RECORD]),
    "collect": ([_RECORD],),
    "completion": (["bash"],),
    "proxy": (["--connect", "127.0.0.1:9"],),
    "resume": ([_RECORD],),
    "show": ([_RECORD],),
    "report": ([_RECORD],),
    "plot": ([_RECORD],),
    "web": ([_RECORD],),
    "worker": (["--join", "127.0.0.1:9", "--cert", "no-such-file"],),
    "fleet check": (["--hosts", "a"], ["--scheduler", "tcp://127.0.0.1:9"]),
}
"""Usual arguments of commands that are played up to the point where they would act: where they print their plan, miss a
record, or begin to listen or to connect.  Other commands only parse their arguments.
"""


class Begun(BaseException):
    """Raised in the place of what acts, once all arguments were read."""


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


def commands() -> Iterator[str]:
    """The names of all commands; of those in groups, such as `fleet check`, both words."""
    for name in sorted(COMMANDS):
        command = _command(name)
        yield from [f"{name} {one}" for one in sorted(command.commands)] if isinstance(command, click.Group) else [name]


def flags(name: str) -> list[click.Option]:
    """The options of a command that take no value."""
    return [one for one in _command(name).params if isinstance(one, click.Option) and one.is_flag]


def parameters(name: str) -> list[click.Parameter]:
    """The parameters of a command that take a value."""
    return [one for one in _command(name).params if not (isinstance(one, click.Option) and one.is_flag)]


def command_lines(dice: random.Random, examples: int) -> Iterator[list[str]]:
    """Command lines with one strange value each: each parameter of each command in turn, until there are enough."""
    everything = [(name, one) for name in commands() for one in parameters(name)]
    left = examples
    while left > 0:
        dice.shuffle(everything)
        for name, parameter in everything[:left]:
            yield [*name.split(), *_with(name, parameter, texts(dice), dice)]
        left -= len(everything)


def _command(name: str) -> click.Command:
    found: click.Command | None = app
    for word in name.split():
        assert isinstance(found, click.Group)
        found = found.get_command(click.Context(found), word)
    assert found is not None
    return found


def _with(name: str, parameter: click.Parameter, value: str, dice: random.Random) -> list[str]:
    usual = dice.choice(USUAL.get(name, ([],)))
    if isinstance(parameter, click.Option):
        return [f"{max(parameter.opts, key=len)}={value}", *usual]
    first = next((at for at, word in enumerate(usual) if word.startswith("-")), len(usual))
    return [*usual[first:], value]


def wrong(words: list[str]) -> str:
    """What is wrong with how the command line `words` ended; empty when nothing is."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=sys.stdout.encoding, errors="strict") for _ in range(2))
    err = io.TextIOWrapper(io.BytesIO(), encoding=sys.stderr.encoding, errors=sys.stderr.errors)
    plays = words[0] in USUAL or " ".join(words[:2]) in USUAL
    sys.argv = ["loadgen", *words]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _acting_is_enough():
            code = main() if plays else _parse(words)
    except Begun:
        code = 0
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


@contextlib.contextmanager
def _acting_is_enough() -> Iterator[None]:
    """End a command where it would start its event loop, or forward connections."""

    def begin(*what: object, **how: object) -> NoReturn:
        for one in what:
            if isinstance(one, Coroutine):
                one.close()
        raise Begun

    with mock.patch("uvloop.run", begin), mock.patch("coordinator.cli.proxy._run", begin):
        yield


def _parse(words: list[str]) -> int:
    """Parse a command line of a command that would act; returns its exit code."""
    length = 2 if isinstance(_command(words[0]), click.Group) else 1
    command = _command(" ".join(words[:length]))
    names = app.context_settings["help_option_names"]  # a command keeps the help option that it created first
    parent = click.Context(app, info_name="loadgen", help_option_names=names)
    with contextlib.suppress(click.exceptions.Exit, click.ClickException, LoadgenError):
        command.make_context(words[0], list(words[length:]), parent=parent)
    return 0


def search(seed: int, examples: int) -> list[str]:
    """Try `examples` command lines; returns the findings."""
    dice, found = random.Random(seed), []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for words in command_lines(dice, examples):
            if finding := wrong(words):
                found.append(f"{[word[:80] for word in words]!a}: {finding}")
        left = [one.name for one in Path(folder).iterdir()]
    return found + [f"a file was left: {name!a}" for name in left]


if __name__ == "__main__":
    findings = search(int(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.write("".join(f"{one}\n" for one in findings))
    sys.exit(1 if findings else 0)
