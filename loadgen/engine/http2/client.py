"""The h2 library, set up as a client of this engine; and the bodies of requests, as flow control lets them go."""

from __future__ import annotations

from collections.abc import Callable

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import DenialOfServiceError, H2Error, InvalidBodyLengthError
from h2.settings import SettingCodes, Settings

from loadgen.model.outcome import Outcome

WINDOW_BYTES = (1 << 30) - 1
"""The receive window of each stream and of the connection, as in h2load: only the kernel's buffers limit replies."""

_FIRST_WINDOW_BYTES = 65_535  # RFC 9113, section 6.9.2: of a connection


def new_client(window_bytes: int) -> H2Connection:
    """A connection whose preface, SETTINGS and window are to be sent; the server must push nothing."""
    client = H2Connection(
        H2Configuration(
            client_side=True,
            header_encoding=None,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
    )
    client.local_settings = Settings(
        client=True,
        initial_values={
            SettingCodes.ENABLE_PUSH: 0,
            SettingCodes.INITIAL_WINDOW_SIZE: window_bytes,
            SettingCodes.MAX_HEADER_LIST_SIZE: H2Connection.DEFAULT_MAX_HEADER_LIST_SIZE,
        },
    )
    client.initiate_connection()
    if window_bytes > _FIRST_WINDOW_BYTES:
        client.increment_flow_control_window(window_bytes - _FIRST_WINDOW_BYTES)
    return client


def outcome_of(error: H2Error) -> Outcome:
    """The outcome of an operation that ended with a wrong frame."""
    if isinstance(error, InvalidBodyLengthError):
        return Outcome.BAD_LENGTH
    return Outcome.HEAD_TOO_LARGE if isinstance(error, DenialOfServiceError) else Outcome.MALFORMED


class Uploads:
    """The parts of request bodies that were not sent yet, by stream."""

    __slots__ = ("_bodies", "_client")

    def __init__(self, client: H2Connection) -> None:
        self._client = client
        self._bodies: dict[int, bytes] = {}

    def __contains__(self, stream: int) -> bool:
        return stream in self._bodies

    def add(self, stream: int, body: bytes) -> None:
        """Send `body`, which is not empty, with the next :meth:`pump`."""
        self._bodies[stream] = body

    def forget(self, stream: int) -> None:
        """Send no more of the body of `stream`."""
        self._bodies.pop(stream, None)

    def pump(self, has_room: Callable[[], bool]) -> None:
        """Pass to h2 as much as the server's windows allow, while `has_room`."""
        client = self._client
        for stream, body in list(self._bodies.items()):
            rest = body
            while rest and has_room():
                size = min(client.local_flow_control_window(stream), client.max_outbound_frame_size)
                if size <= 0:
                    break
                piece, rest = rest[:size], rest[size:]
                client.send_data(stream, piece, end_stream=not rest)
            if rest:
                self._bodies[stream] = rest
            else:
                del self._bodies[stream]
