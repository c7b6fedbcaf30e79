"""A receiver of OTLP over HTTP: it parses what it gets with OpenTelemetry's own message types."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

Point = tuple[str, str, tuple[tuple[str, str], ...], float]
"""Name, unit, attributes and value."""


@dataclass
class Received:
    """What a receiver at `url` has got."""

    url: str
    requests: list[ExportMetricsServiceRequest] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    came: threading.Event = field(default_factory=threading.Event)

    def points(self) -> list[Point]:
        """Every point of every request."""
        return [point for request in list(self.requests) for point in points_of(request)]

    def resource(self) -> dict[str, str]:
        """The attributes of the resource in the first request."""
        attributes = self.requests[0].resource_metrics[0].resource.attributes
        return {one.key: one.value.string_value for one in attributes}


def points_of(request: ExportMetricsServiceRequest) -> Iterator[Point]:
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                assert metric.WhichOneof("data") == "gauge"
                for point in metric.gauge.data_points:
                    labels = tuple((one.key, one.value.string_value) for one in point.attributes)
                    yield metric.name, metric.unit, labels, point.as_double


@contextmanager
def receiver(status: int = 200, headers: dict[str, str] | None = None) -> Iterator[Received]:
    """A receiver on loopback that answers with `status` and `headers`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            assert self.headers["content-type"] == "application/x-protobuf"
            received.paths.append(self.path)
            received.authorizations += self.headers.get_all("authorization", [])
            received.requests.append(ExportMetricsServiceRequest.FromString(body))
            answer = ExportMetricsServiceResponse().SerializeToString()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)
            received.came.set()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received = Received(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def silent() -> Iterator[str]:
    """The URL of a receiver that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def dead() -> str:
    """The URL of a port at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"http://127.0.0.1:{listening.getsockname()[1]}"
