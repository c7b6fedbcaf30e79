"""`loadgen proxy`: the plain TCP forward proxy, in the foreground."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import rich_click as click

from coordinator.cli.options import Parsed, parse_window
from coordinator.output import printing
from coordinator.view.format import count, pad, rate
from loadgen.host.limits import raise_open_files
from loadgen.measure.forwarding import ProxyCounters
from loadgen.model.address import format_address, parse_address
from loadgen.model.plain import to_plain
from loadgen.model.probe import Mode
from loadgen.model.units import NS_PER_S, format_duration, format_size, format_window, parse_duration_ns
from loadgen.proxy.api import ProxyConfig
from loadgen.proxy.loop import ProxyLoop
from loadgen.proxy.service import Service

_LOOPBACK = "127.0.0.1"
_STDERR = 2
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ERASE_LINE = "\r\x1b[K"
_REDRAW_S, _LINE_S = 1.0, 10.0
_ENDS, _SOCKETS, _LIMITS, _RESULT = "Ends", "Sockets", "Limits", "Result"
_DURATION = Parsed("duration", parse_duration_ns)


def parse_listen(text: str) -> tuple[str, int]:
    """(host, port) from HOST:PORT, or from :PORT for the loopback.  Raises PlanError."""
    return parse_address(_LOOPBACK + text if text.rfind(":") == 0 else text)


@click.command()
@click.option(
    "--listen",
    type=Parsed("address", parse_listen),
    metavar="ADDRESS:PORT",
    required=True,
    panel=_ENDS,
    help="Address and port to listen on. :PORT listens on the loopback; port 0 takes a free port.",
)
@click.option(
    "--connect",
    type=Parsed("address", parse_address),
    metavar="HOST:PORT",
    required=True,
    panel=_ENDS,
    help="Upstream to forward to. If HOST has several addresses, they are tried in turn.",
)
@click.option(
    "--source",
    metavar="ADDRESS",
    default="",
    panel=_ENDS,
    help="Local address of connections to the upstream.  [default: the kernel's choice]",
)
@click.option(
    "--mode",
    type=click.Choice([Mode.SPLICE.value, Mode.COPY.value]),
    default=Mode.SPLICE.value,
    show_default=True,
    panel=_SOCKETS,
    help="How to forward: splice moves pages through a pipe without copying; copy reads and writes.",
)
@click.option(
    "--window",
    type=Parsed("window", parse_window),
    metavar="SIZE",
    default="auto",
    show_default=True,
    panel=_SOCKETS,
    help="Size of the socket buffers on both sides; auto leaves it to the kernel.",
)
@click.option(
    "--max-connections",
    type=click.IntRange(1),
    metavar="N",
    default=4096,
    show_default=True,
    panel=_LIMITS,
    help="Limit of open connections; further ones are reset.",
)
@click.option(
    "--idle",
    type=_DURATION,
    metavar="DURATION",
    default="0s",
    panel=_LIMITS,
    help="Reset connections without a byte in either direction for this time.  [default: never]",
)
@click.option(
    "--connect-timeout",
    type=_DURATION,
    metavar="DURATION",
    default="5s",
    show_default=True,
    panel=_LIMITS,
    help="Time that the upstream has to accept a connection.",
)
@click.option(
    "--drain",
    type=_DURATION,
    metavar="DURATION",
    default="10s",
    show_default=True,
    panel=_LIMITS,
    help="Time that open connections have to end after Ctrl-C or SIGTERM; a second signal resets them.",
)
@click.option("--json", "as_json", is_flag=True, panel=_RESULT, help="Print the final counters as a JSON document.")
def proxy(
    listen: tuple[str, int],
    connect: tuple[str, int],
    source: str,
    mode: str,
    window: int,
    max_connections: int,
    idle: int,
    connect_timeout: int,
    drain: int,
    as_json: bool,
) -> int:
    """Forward TCP connections until Ctrl-C, with live counters.

    Half-closes, back-pressure and resets are passed on. On an address other than the loopback, every client that can
    reach the address can use the proxy.
    """
    config = ProxyConfig(
        listen_host=listen[0],
        listen_port=listen[1],
        connect_host=connect[0],
        connect_port=connect[1],
        mode=Mode(mode),
        window_bytes=window,
        source_host=source,
        max_connections=max_connections,
        idle_ns=idle,
        connect_timeout_ns=connect_timeout,
        drain_ns=drain,
    )
    service = Service(config)
    raise_open_files()
    started_ns = time.monotonic_ns()
    cut = _Foreground(service).run()
    counters, elapsed_ns = service.counters(), time.monotonic_ns() - started_ns
    with printing():
        if as_json:
            click.echo(json.dumps(_document(service, counters, cut, elapsed_ns), indent=2))
        else:
            click.echo("".join(f"{name:<16}{value:>20,}\n" for name, value in _totals(counters, cut).items()), nl=False)
    return 0


class _Foreground:
    """Runs a proxy until a signal, and shows its progress on stderr.

    The display has a thread of its own, so that a stopped terminal (Ctrl-S) does not stop the proxy.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._redraws = os.isatty(_STDERR) and os.environ.get("TERM", "dumb") != "dumb"
        self._loop = ProxyLoop(time.monotonic_ns)
        self._asked = 0
        self._news = threading.Event()
        self._over = False

    def run(self) -> int:
        """Run until drained; returns the number of connections that had to be reset."""
        self._loop.add(self._service)
        display = threading.Thread(target=self._display, daemon=True)
        with self._signals():
            self._say(opening_line(self._service))
            display.start()
            gc.collect()
            gc.freeze()  # existing objects stay alive, so collections can skip them
            cut = self._loop.run()
        self._over = True
        self._news.set()
        display.join(_REDRAW_S)
        return cut

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        # Ignored signals stay ignored, as nohup expects.
        numbers = [number for number in _STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, lambda *_: self._loop.post(self._stop)) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self) -> None:
        """Drain the loop (on its thread); a second call resets open connections at once."""
        self._loop.drain(0 if self._asked else self._service.config.drain_ns)
        self._asked += 1
        self._news.set()

    def _display(self) -> None:
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
                    self._say(
                        f"proxy: {counters.open} open connections have {drain} to end; a second signal resets them"
                    )
            text = progress_line(counters, shown, now_ns - at_ns)
            if self._redraws:
                self._draw(text)
            elif counters != shown:
                self._say(text)
            shown, at_ns = counters, now_ns

    def _say(self, text: str) -> None:
        self._write((_ERASE_LINE if self._redraws else "") + text + "\n")

    def _draw(self, text: str) -> None:
        """Replace the last line of the terminal by `text`."""
        if self._redraws:
            with contextlib.suppress(OSError):
                columns = os.get_terminal_size(_STDERR).columns  # 0 if the size was never set
                text = pad(text, min(len(text), columns - 1)) if columns else text
            self._write(_ERASE_LINE + text)

    def _write(self, text: str) -> None:
        """Write directly to stderr: a stopped terminal would block sys.stderr's lock, which the exit waits for."""
        with contextlib.suppress(OSError):  # stderr is closed
            os.write(_STDERR, text.encode(errors="replace"))


def opening_line(service: Service) -> str:
    """The first line of output: where the proxy listens, and how it forwards."""
    config = service.config
    listen = format_address(config.listen_host, service.port)
    connect = format_address(config.connect_host, config.connect_port)
    source = f" from {config.source_host}" if config.source_host else ""
    granted = ""
    if config.window_bytes:
        send_bytes, receive_bytes = service.granted_bytes()
        granted = f" (granted: {format_size(send_bytes)} to send, {format_size(receive_bytes)} to receive)"
    window = f"window {format_window(config.window_bytes)}{granted}"
    return f"proxy: {listen} forwards to {connect}{source} by {config.mode.value}, {window}  (Ctrl-C ends it)"


def progress_line(now: ProxyCounters, before: ProxyCounters, interval_ns: int) -> str:
    """The progress line: open connections, rates over the `interval_ns` since `before`, and failures so far."""
    forward, back = (
        rate((getattr(now, name) - getattr(before, name)) * 8e-6 * NS_PER_S / interval_ns)
        for name in ("forwarded_bytes", "returned_bytes")
    )
    wrong = {
        "refused": now.refused,
        "upstream failed": now.upstream_failed,
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


def _totals(counters: ProxyCounters, cut: int) -> dict[str, int]:
    """The final counters, without `open`, which is 0; `cut`: connections that were reset after the drain time."""
    totals: dict[str, Any] = to_plain(counters)
    del totals["open"]
    return {**totals, "cut": cut}


def _document(service: Service, counters: ProxyCounters, cut: int, elapsed_ns: int) -> dict[str, Any]:
    config = service.config
    return {
        "listen": format_address(config.listen_host, service.port),
        "connect": format_address(config.connect_host, config.connect_port),
        "mode": config.mode.value,
        "window_bytes": config.window_bytes,
        "elapsed_s": round(elapsed_ns / NS_PER_S, 3),
        "counters": _totals(counters, cut),
    }
