"""A real terminal of a known size, through tmux: tests send keys and read the screen."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TMUX = shutil.which("tmux")


@dataclass(frozen=True)
class Pane:
    """A shell in a terminal.  Its prompt is `code=N>`, with the exit code of the previous command."""

    socket: str

    def tmux(self, *arguments: str) -> str:
        assert TMUX is not None
        done = subprocess.run(
            [TMUX, "-S", self.socket, *arguments], capture_output=True, text=True, timeout=20, check=True
        )
        return done.stdout

    def type(self, line: str) -> None:
        self.tmux("send-keys", "-l", line)
        self.tmux("send-keys", "Enter")

    def press(self, key: str) -> None:
        self.tmux("send-keys", key)

    def resize(self, width: int, height: int) -> None:
        self.tmux("resize-window", "-x", str(width), "-y", str(height))

    def screen(self, *, colours: bool = False) -> list[str]:
        """Return the lines on the screen now, without trailing spaces."""
        shown = self.tmux("capture-pane", "-p", *(["-e"] if colours else []))
        return [line.rstrip() for line in shown.splitlines()]

    def unwrapped(self) -> list[str]:
        """Return the lines on the screen now, with wrapped lines joined."""
        return [line.rstrip() for line in self.tmux("capture-pane", "-p", "-J").splitlines()]

    def history(self) -> str:
        """Return all lines that were ever on the screen, with wrapped lines joined."""
        return self.tmux("capture-pane", "-p", "-J", "-S", "-")

    def ask(self, what: str) -> str:
        """Return the value of a format variable of tmux, like `cursor_flag`."""
        return self.tmux("display-message", "-p", f"#{{{what}}}").strip()

    def until(self, seen: Callable[[list[str]], bool], within_s: float = 60) -> list[str]:
        """Wait for a screen for which `seen` returns True; returns this screen."""
        deadline = time.monotonic() + within_s
        while not seen(screen := self.screen()):
            assert time.monotonic() < deadline, "not seen in time; the screen is:\n" + "\n".join(screen)
            time.sleep(0.05)
        return screen

    def exit_code(self, within_s: float = 60) -> int:
        """Wait for the prompt; returns the exit code of the last command."""

        def prompt(screen: list[str]) -> bool:
            last = next((line for line in reversed(screen) if line), "")
            return last.startswith("code=") and last.endswith(">")

        screen = self.until(prompt, within_s)
        return int(next(line for line in reversed(screen) if line).removeprefix("code=").removesuffix(">"))


@contextmanager
def terminal(cwd: Path, environment: Mapping[str, str], width: int = 80, height: int = 24) -> Iterator[Pane]:
    """A tmux server of its own with one pane; at the end, the server and all its processes are ended."""
    assert TMUX is not None
    sockets = tempfile.mkdtemp(prefix="loadgen-tmux-")  # a socket's path must be short, but tmp_path may be long
    pane = Pane(f"{sockets}/s")
    kept = {"PATH": os.environ["PATH"], "HOME": str(cwd), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
    subprocess.run(
        [TMUX, "-S", pane.socket, "-f", os.devnull, "new-session", "-d", "-x", str(width), "-y", str(height), "sh"],
        cwd=cwd,
        env={**kept, **environment},
        timeout=20,
        check=True,
    )
    try:
        pane.tmux("set-option", "-g", "status", "off")
        pane.resize(width, height)  # the status line took one line
        pane.until(any, within_s=10)  # otherwise the shell prints its first prompt into what is typed
        pane.type("PS1='code=$?>'")
        pane.exit_code(within_s=10)
        yield pane
    finally:
        subprocess.run([TMUX, "-S", pane.socket, "kill-server"], timeout=20, check=False, capture_output=True)
        shutil.rmtree(sockets)
