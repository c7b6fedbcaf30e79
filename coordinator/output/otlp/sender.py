"""Sends live views to a receiver of OpenTelemetry, from a thread of its own.

Nothing waits for the receiver: :meth:`Sender.update` only remembers the newest view.  The thread rests between two
messages for as long as keeps its share of a core small, so that it cannot delay the run either.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from coordinator.output.live_metrics import samples_of
from coordinator.output.otlp.message import message_of
from loadgen.model.secrets import mask_text, mask_url

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData

EVERY_S = 1.0
"""The time between two messages: a live view changes once a second."""

_BUSY_SHARE = 0.01  # of one core, at most, for making and sending messages
_AFTER_FAILURE_S = 10.0
_TIMEOUT_S = 3.0
_LOGGERS = "opentelemetry"


Export = Callable[["MetricsData"], bool]
"""Sends metrics, and returns whether the receiver took them."""


class Sender:
    """Sends the newest view until it is closed.

    `say` is called once, from the thread, with a sentence when the receiver does not take the metrics.
    """

    def __init__(self, export: Export, url: str, say: Callable[[str], None]) -> None:
        self._export = export
        self._url = url
        self._say = say
        self._newest: tuple[Any, int] | None = None
        self._closing = threading.Event()
        self._told = False
        self._logged = _First()
        self._thread = threading.Thread(target=self._run, name="otlp", daemon=True)  # must not keep loadgen from ending

    def start(self) -> None:
        """Start the thread."""
        logger = logging.getLogger(_LOGGERS)  # its warnings would go to the terminal, each second
        logger.addHandler(self._logged)
        logger.propagate = False
        self._thread.start()

    def update(self, view: Any) -> None:
        """Remember `view` as the newest; never waits."""
        self._newest = (view, time.time_ns())

    def close(self, wait_s: float) -> None:
        """Send the newest view once more if it was not sent, and wait for that for at most `wait_s` seconds."""
        self._closing.set()
        self._thread.join(wait_s)

    def _run(self) -> None:
        sent: tuple[Any, int] | None = None
        pause_s = EVERY_S
        while True:
            last = self._closing.wait(pause_s)
            newest = self._newest
            if newest is not None and newest is not sent:
                pause_s = self._send(*newest)
                sent = newest
            if last:
                return

    def _send(self, view: Any, time_ns: int) -> float:
        """Send a view.  Returns how long to rest after it."""
        began_s = time.thread_time()
        self._logged.text = ""
        try:
            taken = self._export(message_of(samples_of(view), time_ns))
            why = self._logged.text
        except Exception as error:  # noqa: BLE001 - whatever happens here must not cost the result
            taken, why = False, f"{type(error).__name__}: {error}"
        used_s = time.thread_time() - began_s
        if not taken:
            self._tell(why)
        return max(EVERY_S if taken else _AFTER_FAILURE_S, used_s / _BUSY_SHARE)

    def _tell(self, why: str) -> None:
        if not self._told:
            self._told = True
            reason = f": {mask_text(why.splitlines()[0])[:_MOST]}" if why else ""
            self._say(
                f"the receiver of metrics at {mask_url(self._url)} does not take them, and the run goes on{reason}"
            )


_MOST = 200  # characters of a reason


class _First(logging.Handler):
    """Keeps the first message of a logger since `text` was last cleared: what follows says only that nothing helped."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message of `record` if it is the first one."""
        self.text = self.text or record.getMessage()


class _RedirectError(Exception):
    """The receiver sends its clients elsewhere.  The SDK would take that for success, and nobody had the metrics."""


def exporter_to(endpoint: str) -> Export:
    """The function that sends to a URL, directly: settings of proxies are for the Web, and not for metrics."""
    import requests
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    def look(reply: requests.Response, *_: Any, **__: Any) -> None:
        if 300 <= reply.status_code < 400:
            where = reply.headers.get("Location", "another place")
            reply.close()
            raise _RedirectError(f"it redirects to {where} (status {reply.status_code})")
        if reply.status_code >= 400:  # the SDK may say no more than that it gave up
            logging.getLogger(_LOGGERS).warning("it answers %d %s", reply.status_code, reply.reason)

    session = requests.Session()
    session.trust_env = False
    session.hooks["response"].append(look)
    exporter = OTLPMetricExporter(endpoint=endpoint, timeout=_TIMEOUT_S, session=session)
    return lambda metrics: exporter.export(metrics).name == "SUCCESS"
