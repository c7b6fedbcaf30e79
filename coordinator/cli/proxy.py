"""`loadgen proxy`: the plain TCP forward proxy, in the foreground."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import rich_click as click

from coordinator.cli.options import DURATION, Parsed, parse_window
from loadgen.model.address import parse_address
from loadgen.model.probe import Mode

if TYPE_CHECKING:
    from loadgen.proxy.api import ProxyConfig

_LOOPBACK = "127.0.0.1"
_ENDS, _SOCKETS, _LIMITS, _RESULT = "Ends", "Sockets", "Limits", "Result"


def parse_listen(text: str) -> tuple[str, int]:
<<<<<<< HEAD
    """Host and port of a text like `192.0.2.1:8080`; without a host (`:8080`), the loopback address."""
=======
    """(host, port) from HOST:PORT, or from :PORT for the loopback.  Raises PlanError."""
>>>>>>> pure
    return parse_address(_LOOPBACK + text if text.rfind(":") == 0 else text)


@click.command()
@click.option(
    "--listen",
    type=Parsed("address", parse_listen),
    metavar="ADDRESS:PORT",
    required=True,
    panel=_ENDS,
<<<<<<< HEAD
    help="Address at which clients connect; :PORT means the loopback address, and port 0 any free port.",
=======
    help="Address and port to listen on. :PORT listens on the loopback; port 0 takes a free port.",
>>>>>>> pure
)
@click.option(
    "--connect",
    type=Parsed("address", parse_address),
    metavar="HOST:PORT",
    required=True,
    panel=_ENDS,
<<<<<<< HEAD
    help="Upstream to which everything is forwarded. When one of its addresses fails, the next is tried.",
=======
    help="Upstream to forward to. If HOST has several addresses, they are tried in turn.",
>>>>>>> pure
)
@click.option(
    "--source",
    metavar="ADDRESS",
    default="",
    panel=_ENDS,
<<<<<<< HEAD
    help="Address of this machine from which the upstream is connected to.  [default: the kernel's choice]",
=======
    help="Local address of connections to the upstream.  [default: the kernel's choice]",
>>>>>>> pure
)
@click.option(
    "--mode",
    type=click.Choice([Mode.SPLICE.value, Mode.COPY.value]),
    default=Mode.SPLICE.value,
    show_default=True,
    panel=_SOCKETS,
<<<<<<< HEAD
    help="How bytes are forwarded: splice moves pages through a pipe without copying them; copy reads and writes.",
=======
    help="How to forward: splice moves pages through a pipe without copying; copy reads and writes.",
>>>>>>> pure
)
@click.option(
    "--window",
    type=Parsed("window", parse_window),
    metavar="SIZE",
    default="auto",
    show_default=True,
    panel=_SOCKETS,
<<<<<<< HEAD
    help="Socket buffer size to request on both sides, 1 byte to 2G - 1; auto leaves the size to the kernel.",
=======
    help="Size of the socket buffers on both sides; auto leaves it to the kernel.",
>>>>>>> pure
)
@click.option(
    "--max-connections",
    type=click.IntRange(1),
    metavar="N",
    default=4096,
    show_default=True,
    panel=_LIMITS,
<<<<<<< HEAD
    help="Maximum number of open connections, at least 1; further connections are reset.",
=======
    help="Limit of open connections; further ones are reset.",
>>>>>>> pure
)
@click.option(
    "--idle",
    type=DURATION,
    metavar="DURATION",
    default="0s",
    panel=_LIMITS,
<<<<<<< HEAD
    help="Time without a byte in either direction after which a connection is reset; 0s means never.  [default: never]",
=======
    help="Reset connections without a byte in either direction for this time.  [default: never]",
>>>>>>> pure
)
@click.option(
    "--connect-timeout",
    type=DURATION,
    metavar="DURATION",
    default="5s",
    show_default=True,
    panel=_LIMITS,
<<<<<<< HEAD
    help="Time within which the upstream must answer.",
=======
    help="Time that the upstream has to accept a connection.",
>>>>>>> pure
)
@click.option(
    "--drain",
    type=DURATION,
    metavar="DURATION",
    default="10s",
    show_default=True,
    panel=_LIMITS,
<<<<<<< HEAD
    help="Time that open connections have to end after Ctrl-C or SIGTERM; a second signal cuts them.",
=======
    help="Time that open connections have to end after Ctrl-C or SIGTERM; a second signal resets them.",
>>>>>>> pure
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
    """Forward TCP connections until Ctrl-C, and show live counters.

<<<<<<< HEAD
    Half-closed connections, back-pressure and resets are passed on. A proxy that listens at another address than the
    loopback address is open to everybody who can reach that address.
=======
    Half-closes, back-pressure and resets are passed on. On an address other than the loopback, every client that can
    reach the address can use the proxy.
>>>>>>> pure
    """
    from loadgen.proxy.api import ProxyConfig

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
    return _run(config, as_json=as_json)


def _run(config: ProxyConfig, *, as_json: bool) -> int:
    """Forward until a signal, then print the counters; the exit code."""
    from coordinator.cli.foreground import Foreground, document, totals
    from coordinator.output.streams import printing
    from loadgen.host.limits import raise_open_files
    from loadgen.proxy.service import Service

    service = Service(config)
    raise_open_files()
    started_ns = time.monotonic_ns()
    cut = Foreground(service).run()
    counters, elapsed_ns = service.counters(), time.monotonic_ns() - started_ns
    with printing():
        if as_json:
            click.echo(json.dumps(document(service, counters, cut, elapsed_ns), indent=2))
        else:
            click.echo("".join(f"{name:<16}{value:>20,}\n" for name, value in totals(counters, cut).items()), nl=False)
    return 0
<<<<<<< HEAD
=======


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
>>>>>>> pure
