"""Every output format.  A new format is one function in a file of its own and one entry here."""

from __future__ import annotations

import pkgutil
import sys
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from coordinator.output.streams import printing

if TYPE_CHECKING:  # a format's name is needed for --help, and a record takes time to import
    from coordinator.output.judged import Judged


class Format(Protocol):
    """Writes one run to a text stream.  Raises a LoadgenError when it has nothing to write about this run."""

    def __call__(self, judged: Judged[Any, Any], stream: TextIO, /) -> None:
        """Write the finished run `judged` to the text stream `stream`.  Raises a LoadgenError as described above."""


FORMATS: dict[str, str] = {
    "text": "coordinator.output.text:write_text",
    "json": "coordinator.output.json_text:write_json",
    "hdr": "coordinator.output.hdr:write_hdr",
    "csv": "coordinator.output.csv_rows:write_csv",
}
"""By name: the module and the function, which are imported when they are called."""


def write(judged: Judged[Any, Any], name: str, stream: TextIO) -> None:
    """Write the run to `stream` in the format called `name`."""
    form: Format = pkgutil.resolve_name(FORMATS[name])
    form(judged, stream)


def print_result(judged: Judged[Any, Any], name: str = "text") -> None:
    """Write the run to stdout.  Raises OutputError when stdout cannot be written to."""
    with printing():
        write(judged, name, sys.stdout)
