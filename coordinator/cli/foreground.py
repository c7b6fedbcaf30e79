"""A proxy in the foreground: it runs until a signal, and stderr shows its counters."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from coordinator.output.streams import READABLE
from coordinator.output.terminal.format import count, pad, rate
from loadgen.measure.forwarding import ProxyCounters
from loadgen.model.address import format_address
from loadgen.model.plain import to_plain
from loadgen.model.units import NS_PER_S, format_duration, format_size, format_window
from loadgen.proxy.loop import ProxyLoop
from loadgen.proxy.service import Service

_STDERR = 2
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ERASE_LINE = "\r\x1b[K"
_REDRAW_S, _LINE_S = 1.0, 10.0


class Foreground:
    """A proxy that runs until a signal, and shows its counters on stderr.

    The display runs in its own thread: a stopped terminal (Ctrl-S) must not stop the proxy.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._redraws = os.isatty(_STDERR) and os.environ.get("TERM", "dumb") != "dumb"
        self._encoding = sys.stderr.encoding if sys.stderr else "utf-8"
        self._loop = ProxyLoop(time.monotonic_ns)
        self._asked = 0
        self._news = threading.Event()
        self._over = False

    def run(self) -> int:
        """Run until a signal and the end of the drain time.  Returns the number of connections that were cut."""
        self._loop.add(self._service)
        display = threading.Thread(target=self._display, daemon=True)
        with self._signals():
            display.start()
            gc.collect()
            gc.freeze()  # all present objects stay alive, so garbage collection need not visit them
            cut = self._loop.run()
        self._over = True
        self._news.set()
        display.join(_REDRAW_S)
        return cut

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        # A signal that is ignored stays ignored, because nohup relies on this.
        numbers = [number for number in _STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, lambda *_: self._loop.post(self._stop)) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self) -> None:
        """Drain at the first call, and cut the open connections at the second call.  Runs on the loop's thread."""
        self._loop.drain(0 if self._asked else self._service.config.drain_ns)
        self._asked += 1
        self._news.set()

    def _display(self) -> None:
        self._say(opening_line(self._service))
        shown, asked, at_ns = self._service.counters(), 0, time.monotonic_ns()
        while True:
            self._news.wait(_REDRAW_S if self._redraws else _LINE_S)
            if self._over:
                self._draw("")
                return
            self._news.clear()
            counters, now_ns = self._service.counters(), time.monotonic_ns()
            if self._asked != asked:
                asked = self._asked
                if asked == 1 and counters.open:
                    drain = format_duration(self._service.config.drain_ns)
                    self._say(f"proxy: {counters.open} open connections have {drain} to end; a second signal cuts them")
            text = progress_line(counters, shown, now_ns - at_ns)
            if self._redraws:
                self._draw(text)
            elif counters != shown:
                self._say(text)
            shown, at_ns = counters, now_ns

    def _say(self, text: str) -> None:
        self._write((_ERASE_LINE if self._redraws else "") + text + "\n")

    def _draw(self, text: str) -> None:
        """Replace the last line of the terminal by the counters."""
        if self._redraws:
            with contextlib.suppress(OSError):
                columns = os.get_terminal_size(_STDERR).columns  # 0 when unknown
                text = pad(text, min(len(text), columns - 1)) if columns else text
            self._write(_ERASE_LINE + text)

    def _write(self, text: str) -> None:
        """Write without sys.stderr: a stopped terminal would hold its lock, and the exit would wait for the lock."""
        with contextlib.suppress(OSError):  # stderr is closed
            os.write(_STDERR, text.encode(self._encoding, READABLE))


def opening_line(service: Service) -> str:
    """Return the first line of output: the address of the proxy, and how it forwards."""
    config = service.config
    listen = format_address(config.listen_host, service.port)
    connect = ", ".join(format_address(one.host, one.port) for one in config.upstreams)
    source = f" from {config.source_host}" if config.source_host else ""
    granted = ""
    if config.window_bytes:
        send_bytes, receive_bytes = service.granted_bytes()
        granted = f" (granted: {format_size(send_bytes)} to send, {format_size(receive_bytes)} to receive)"
    window = f"window {format_window(config.window_bytes)}{granted}"
    return f"proxy: {listen} forwards to {connect}{source} by {config.mode.value}, {window}  (Ctrl-C ends it)"


def progress_line(now: ProxyCounters, before: ProxyCounters, interval_ns: int) -> str:
    """Return a line of counters: open connections, the rates since `before`, and the errors so far."""
    forward, back = (
        rate((getattr(now, name) - getattr(before, name)) * 8e-6 * NS_PER_S / interval_ns)
        for name in ("forwarded_bytes", "returned_bytes")
    )
    wrong = {
        "refused": now.refused,
        "upstream refused": now.upstream_refused,
        "upstream unreachable": now.upstream_unreachable,
        "upstream timed out": now.upstream_timed_out,
        "no local port": now.local_limit,
        "reset": now.reset,
        "idle": now.idle,
    }
    parts = [
        f"proxy: {count(now.open)} open, {count(now.accepted)} accepted",
        f"Mbit/s {forward} forward, {back} back",
        f"{(now.forwarded_bytes + now.returned_bytes) / 1e9:,.2f} GB",
        *(f"{name} {count(number)}" for name, number in wrong.items() if number),
    ]
    return "; ".join(parts)


def totals(counters: ProxyCounters, cut: int) -> dict[str, int]:
    """Return the final counters; `cut` is the number of connections that were cut after the drain time."""
    plain: dict[str, Any] = to_plain(counters)
    del plain["open"]  # 0 at the end
    return {**plain, "cut": cut}


def document(service: Service, counters: ProxyCounters, cut: int, elapsed_ns: int) -> dict[str, Any]:
    """Return the final counters and the settings, for --json; `elapsed_ns` is the run time of the proxy."""
    config = service.config
    return {
        "listen": format_address(config.listen_host, service.port),
        "connect": [format_address(one.host, one.port) for one in config.upstreams],
        "mode": config.mode.value,
        "window_bytes": config.window_bytes,
        "elapsed_s": round(elapsed_ns / NS_PER_S, 3),
        "counters": totals(counters, cut),
    }
