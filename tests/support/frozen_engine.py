"""A container engine that tells its version, and hangs at everything else."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

_VERSION = {"ApiVersion": "1.41", "Version": "9", "Components": [{"Name": "Engine"}]}


@contextlib.contextmanager
def frozen_engine(directory: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield the socket of the engine, and the requests at which it hangs."""
    asked: list[str] = []
    with contextlib.ExitStack() as ends:
        server = ends.enter_context(socket.socket(socket.AF_UNIX))
        server.bind(str(directory / "engine.sock"))
        server.listen()

        def answer(client: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while request := client.recv(1 << 16).decode():
                    line = request.partition("\r\n")[0]
                    if "/version" not in line:
                        asked.append(line)
                        continue
                    body = json.dumps(_VERSION)
                    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                    client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())

        def serve() -> None:
            with contextlib.suppress(OSError):  # the socket was closed
                while True:
                    client, _ = server.accept()
                    ends.callback(client.close)
                    threading.Thread(target=answer, args=(client,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield directory / "engine.sock", asked
        finally:
            server.shutdown(socket.SHUT_RDWR)
