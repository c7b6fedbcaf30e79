"""The standard streams: stdout for the result, which must arrive; stderr for everything else, which may be lost."""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import select
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TextIO, cast

from loadgen.model.errors import LoadgenError

if TYPE_CHECKING:
    from rich.console import Console


READABLE = "loadgen.readable"
"""The name of an error handler for encoding: what an encoding lacks is written in ASCII, and never raises."""

_IN_ASCII = {
    "…": "...", "·": "-", "—": "-", "–": "-", "−": "-", "─": "-", "×": "x", "µ": "u", "±": "+-", "≥": ">=", "≤": "<=",
    "→": "->", "░": ".", **dict.fromkeys("█▇▆▅▄▃▂▁▉▊▋▌▍▎▏", "#"), **dict.fromkeys("│┃┏┓┗┛", "|"), "━": "=",
    **dict.fromkeys("‘’", "'"), **dict.fromkeys("“”", '"'),
}  # fmt: skip
"""Characters of our own texts, in ASCII.  All others are shown as an escape, like \\u0436."""

_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


class OutputError(LoadgenError):
    """The result could not be written to its stream, or there is nothing to write."""


@contextlib.contextmanager
def printing() -> Iterator[None]:
    """Inside, the result is written to stdout.

    Raises OutputError when it cannot be written, and BrokenPipeError when the reader of the pipe has ended.
    """
    if sys.stdout is None:
        raise OutputError("the result cannot be printed: stdout is closed")
    try:
        yield
        sys.stdout.flush()  # now, while a failure can still be reported
    except BrokenPipeError:
        raise
    except SystemExit:  # rich answers a broken pipe in this way
        raise BrokenPipeError from None
    except KeyboardInterrupt:
        abandon_stdout()  # nobody read: each later flush of the buffer would wait for the reader again
        raise
    except OSError as error:
        abandon_stdout()
        raise _unwritable(error) from error


def _unwritable(error: OSError) -> OutputError:
    return OutputError(f"the result cannot be printed: stdout: {error.strerror}")


def print_text(text: str) -> None:
    """Write a text to stdout, as all of a result.  Raises the errors of :func:`printing`."""
    with printing():
        sys.stdout.write(text)


def print_document(document: Mapping[str, Any]) -> None:
    """Write a JSON document to stdout, as all of a result.  Raises the errors of :func:`printing`."""
    with printing():
        write_document(document, sys.stdout)


def write_document(document: Mapping[str, Any], stream: TextIO) -> None:
    """Write a JSON document to `stream`; in ASCII with escapes where the stream's encoding lacks a character."""
    import json  # not needed by most commands, which start faster without it

    # A file name need not be valid UTF-8, JSON must be.
    text = json.dumps(document, indent=2, ensure_ascii=False).encode("utf-8", "replace").decode("utf-8")
    if not _encodable(text, stream):
        text = json.dumps(json.loads(text), indent=2)
    stream.write(text + "\n")


def escaped(text: str, stream: TextIO) -> str:
    """Return `text` with the escapes of TOML and Python for the characters that the stream's encoding lacks."""
    return text if _encodable(text, stream) else "".join(c if c.isascii() else _escape(c) for c in text)


def _encodable(text: str, stream: TextIO) -> bool:
    try:
        text.encode(stream.encoding or "utf-8")
    except UnicodeError:
        return False
    return True


def _escape(char: str) -> str:
    return f"\\U{ord(char):08x}" if ord(char) > 0xFFFF else f"\\u{ord(char):04x}"


def _readable(error: UnicodeError) -> tuple[str, int]:
    """Replace the characters that an encoding lacks; a byte of a file name that is not valid text becomes \\xNN."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    bad = error.object[error.start : error.end]
    words = (f"\\x{ord(c) - 0xDC00:02x}" if "\udc80" <= c <= "\udcff" else _IN_ASCII.get(c) or _escape(c) for c in bad)
    return "".join(words), error.end


codecs.register_error(READABLE, _readable)


def accept_all_text() -> None:
    """Let stdout and stderr write any text: the locale, or PYTHONIOENCODING, may have chosen an encoding that lacks
    characters, and a result must not be lost for that.

    A terminal of the locale C gets ASCII.  Python writes UTF-8 there, which a terminal without Unicode cannot show.
    """
    plain = bool(sys.flags.utf8_mode) and asks_for_ascii(os.environ)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="ascii" if plain and stream.isatty() else None, errors=READABLE)


def asks_for_ascii(environment: Mapping[str, str]) -> bool:
    """Whether the user chose the locale C, and nothing that asks for UTF-8; without any choice, UTF-8 is assumed."""
    if environment.get("PYTHONUTF8") or environment.get("PYTHONIOENCODING"):
        return False
    return (environment.get("LC_ALL") or environment.get("LANG")) in ("C", "POSIX")


@contextlib.contextmanager
def blaming_stdout() -> Iterator[None]:
    """Inside, libraries write to stdout by themselves, as click does for --help.

    Raises OutputError for an error of a stream that cannot be written; any other error stays what it is.  Only stdout
    can be that stream: records report their own errors, and stderr may be lost.
    """
    try:
        try:
            yield
        finally:  # click ends by an exception; what is still buffered then would be written at exit, and fail there
            if sys.stdout is not None and not sys.stdout.closed:
                sys.stdout.flush()
    except OSError as error:
        if error.errno not in _UNWRITABLE or error.filename is not None:
            raise
        abandon_stdout()
        raise _unwritable(error) from error


class Sheet(io.StringIO):
    """A text in memory that will be written to `stream`: it looks like that stream to those who write on it."""

    def __init__(self, stream: TextIO, descriptor: int) -> None:
        super().__init__()
        self._stream = stream
        self._descriptor = descriptor

    @property
    def encoding(self) -> str:  # type: ignore[override]  # read-only here
        """The encoding of the stream."""
        return self._stream.encoding

    def fileno(self) -> int:
        """The descriptor of the stream."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return os.isatty(self._descriptor)

    def data(self) -> bytes:
        """The text, encoded."""
        return self.getvalue().encode(self.encoding, READABLE)


def goes_to_stdout(stream: TextIO) -> bool:
    """Whether a text on this stream is to be printed, rather than made a part of a page or of a document."""
    return stream is sys.stdout or isinstance(stream, Sheet)


def descriptor_of(stream: TextIO | None) -> int | None:
    """The descriptor of a stream; None when it has none: a stream in memory, or a closed one."""
    try:
        return stream.fileno() if stream is not None else None
    except (OSError, ValueError):
        return None


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`, also where another process has made the open file non-blocking."""
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()


def abandon_stdout() -> None:
    """Discard buffered output: Python would try to write it at exit, and print an error."""
    abandon(1)


def abandon(descriptor: int) -> None:
    """Discard what is written to `descriptor` from now on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def open_missing_streams() -> None:
    """Open closed descriptors among 0 to 2 on /dev/null: libuv aborts when one of its pipes gets such a number."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # open() takes the lowest free number


def stderr_console() -> Console:
    """A console on stderr that stops writing when stderr is closed, instead of ending the run."""
    from rich.console import Console  # heavy, and not every command prints with it

    return Console(file=cast(TextIO, _Courtesy(sys.stderr)) if sys.stderr else None, stderr=True)


def say_on(console: Console, text: str) -> None:
    """Write a line as it is: not broken, and without colours."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


class _Courtesy(io.TextIOBase):
    """A text stream that discards everything after its first failure (a closed terminal, a pipe without a reader)."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._gone = False

    @property
    def encoding(self) -> str:  # type: ignore[override]  # read-only here
        return self._stream.encoding

    def write(self, text: str) -> int:
        if not self._gone:
            try:
                self._stream.write(text)
            except OSError:
                self._give_up()
        return len(text)

    def flush(self) -> None:
        if not self._gone:
            try:
                self._stream.flush()
            except OSError:
                self._give_up()

    def _give_up(self) -> None:
        self._gone = True
        abandon(self._stream.fileno())

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return not self._gone and self._stream.isatty()
