from typing import Any

from numpy.typing import NDArray

from loadgen.model.outcome import Outcome
from loadgen.schedule.values import Values

Arrays = tuple[NDArray[Any], NDArray[Any], bytes, NDArray[Any], NDArray[Any]]

def facts() -> dict[str, int]: ...

class Core:
    def __init__(
        self,
        arrays: Arrays,
        targets: list[tuple[bytes, int]],
        remotes: list[bytes],
        sources: list[bytes],
        numbers: NDArray[Any],
        target_of: NDArray[Any],
        remote_of: NDArray[Any],
        source_of: NDArray[Any],
        ns_per_byte: float,
        *,
        line_bps: int,
        timeout_ns: int,
        error_rest_ns: int,
        paced_reads: bool,
        kernel_stamps: bool,
        open: bool,
        max_backlog: int,
        canary_times: tuple[int, int, int] = ...,
        values: Values | None = ...,
        numbering: tuple[int, int, int] = ...,
        requests: int = ...,
        request_ns: int = ...,
        lanes: int = ...,
    ) -> None: ...
    def arm(self, start_ns: int, end_ns: int) -> None: ...
    def play(
        self,
        rows: NDArray[Any],
        due_ns: NDArray[Any],
        offsets_ns: NDArray[Any],
        first: int,
        step: int,
        counted: bool = ...,
    ) -> int: ...
    def renew(self, until_ns: int) -> None: ...
    def stop(self) -> None: ...
    @property
    def over(self) -> bool: ...
    @property
    def open_sockets(self) -> int: ...
    @property
    def done_ns(self) -> int: ...
    def fileno(self) -> int: ...
    def records(self) -> memoryview: ...
    def take(self, count: int) -> None: ...
    def shown(self) -> dict[tuple[int, Outcome], bytes]: ...
    def canary(self) -> bytes: ...

class Reader:
    def __init__(self, arrays: Arrays, size: int) -> None: ...
    def begin(self, row: int) -> None: ...
    def feed(self, data: bytes, size: int) -> int: ...
    def eof(self) -> int: ...
    def skip(self, size: int) -> int: ...
    @property
    def unchecked_ahead(self) -> int: ...
    @property
    def verdict(self) -> int: ...
    @property
    def facts(self) -> tuple[int, int, bool, bool, bool, bool, bytes]: ...
