"""The terminal as a keyboard: keys are read while this process is in the foreground, and all settings are given back.

Two things must not happen.  A process in the background must not be stopped, which the kernel does when it reads from
its terminal (SIGTTIN) or changes the settings (SIGTTOU).  And settings that belong to a shell by now must not be
changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import termios
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from rich.console import Console

_CHUNK = 4096  # as much as a terminal gives at once: a paste comes in few chunks
_LOCAL_FLAGS, _INPUT_FLAGS, _CHARACTERS = 3, 0, 6  # places in what tcgetattr returns


class _Stream(Protocol):
    def fileno(self) -> int: ...


def descriptor_of(stream: _Stream | None) -> int | None:
    """The descriptor of a stream that is a terminal; None for any other."""
    try:
        descriptor = stream.fileno() if stream is not None else -1
        return descriptor if descriptor >= 0 and os.isatty(descriptor) else None
    except (OSError, ValueError):  # no descriptor, or a closed stream
        return None


def moves_cursor(console: Console) -> bool:
    """Whether the console is a terminal that can move its cursor.

    Rich takes a pipe or a file for one, too, where FORCE_COLOR or TTY_COMPATIBLE asks for colour.
    """
    return console.is_terminal and not console.is_dumb_terminal and descriptor_of(console.file) is not None


def in_foreground(descriptor: int) -> bool | None:
    """Whether this process is in the foreground of its controlling terminal; None for another terminal, or without."""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return None


class Keyboard:
    """Reads keys from the terminal at `descriptor`, without waiting for a whole line and without an echo.

    The descriptor is closed in the end.  Signals of keys (Ctrl-C, Ctrl-Z) stay.  Each chunk of bytes is passed to
    `on_bytes` on the event loop.
    """

    def __init__(self, descriptor: int, on_bytes: Callable[[bytes], None]) -> None:
        self._descriptor = descriptor
        self._on_bytes = on_bytes
        self._before: list[Any] | None = None  # the settings to give back
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def taken(self) -> bool:
        """Whether keys are read now."""
        return self._loop is not None

    def take(self) -> bool:
        """Begin to read keys, or set the terminal again; returns whether keys are read.

        No keys are read in the background, nor from a terminal that is not the controlling one.
        """
        if not in_foreground(self._descriptor):
            self._stop_reading()
            return False
        try:
            with _unstoppable():
                if self._before is None:
                    self._before = termios.tcgetattr(self._descriptor)
                termios.tcsetattr(self._descriptor, termios.TCSANOW, _by_key(self._before))
        except (OSError, termios.error):
            return False
        if self._loop is None:
            loop = asyncio.get_running_loop()
            loop.add_reader(self._descriptor, self._read)
            self._loop = loop
        return True

    def give_back(self) -> None:
        """Read no more keys, and restore the settings, unless the terminal belongs to another process by now."""
        self._stop_reading()
        before, self._before = self._before, None
        if before is not None and in_foreground(self._descriptor):
            with contextlib.suppress(OSError, termios.error), _unstoppable():
                termios.tcsetattr(self._descriptor, termios.TCSANOW, before)

    def _read(self) -> None:
        if not in_foreground(self._descriptor):  # the bytes are those of the process in the foreground
            self._stop_reading()
            return
        try:
            with _unstoppable():
                data = os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return
        except OSError:  # the terminal is gone, or this process went into the background meanwhile
            data = b""
        if data:
            self._on_bytes(data)
        else:
            self._stop_reading()

    def close(self) -> None:
        """Give the terminal back for good."""
        self.give_back()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _stop_reading(self) -> None:
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.remove_reader(self._descriptor)


def stdin_keyboard(on_bytes: Callable[[bytes], None]) -> Keyboard | None:
    """The keyboard at stdin; None when stdin is no terminal.

    The terminal is opened anew, because an event loop makes a descriptor non-blocking that it reads.  That would hold
    for stdout and stderr too, and for the shell, which share stdin's open file.
    """
    descriptor = descriptor_of(sys.stdin)
    if descriptor is None:
        return None
    try:
        own = os.open(os.ttyname(descriptor), os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # a terminal of another namespace has no name here
        return None
    return Keyboard(own, on_bytes)


def _by_key(before: list[Any]) -> list[Any]:
    """Settings with which each key is read at once; Ctrl-S is a key without meaning, and does not stop the output."""
    now = [*before]
    now[_LOCAL_FLAGS] &= ~(termios.ECHO | termios.ICANON)
    now[_INPUT_FLAGS] &= ~termios.IXON
    characters = [*before[_CHARACTERS]]
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    now[_CHARACTERS] = characters
    return now


@contextlib.contextmanager
def _unstoppable() -> Iterator[None]:
    """Inside, the kernel does not stop this process for its use of the terminal: between a check and the use of the
    terminal, the process may have gone into the background.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTIN, signal.SIGTTOU})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Handlers:
    """Signals of the terminal while a live view is shown: a new size, and leaving and returning to the foreground.

    `leave` is called before this process is stopped (Ctrl-Z) or ended (Ctrl-Backslash) by the terminal, `back` when it
    continues, and `resized` when the terminal has another size.  Signals that are ignored stay ignored.
    """

    def __init__(self, *, leave: Callable[[], None], back: Callable[[], None], resized: Callable[[], None]) -> None:
        self._leave = leave
        self._back = back
        self._resized = resized
        self._set: list[signal.Signals] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def set(self) -> None:
        """Handle the signals, where there is an event loop in the main thread."""
        with contextlib.suppress(RuntimeError, ValueError):
            self._loop = asyncio.get_running_loop()
            for number in (signal.SIGWINCH, signal.SIGCONT, signal.SIGTSTP, signal.SIGQUIT):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._handle(number)
                    self._set.append(number)

    def unset(self) -> None:
        """Handle them no more."""
        for number in self._set:
            if self._loop is not None:
                self._loop.remove_signal_handler(number)
        self._set.clear()

    def _handle(self, number: signal.Signals) -> None:
        assert self._loop is not None
        match number:
            case signal.SIGWINCH:
                self._loop.add_signal_handler(number, self._resized)
            case signal.SIGCONT:
                self._loop.add_signal_handler(number, self._back)
            case _:
                self._loop.add_signal_handler(number, self._obey, number)

    def _obey(self, number: signal.Signals) -> None:
        """Give the terminal back, and let the signal do what it does to other processes."""
        assert self._loop is not None
        self._leave()
        self._loop.remove_signal_handler(number)
        signal.raise_signal(number)
        # This process continues: SIGCONT came, or the kernel does not stop it, as nobody could continue it.
        self._handle(number)
        self._back()
