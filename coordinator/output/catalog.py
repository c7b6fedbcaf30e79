"""Every output format.  A new format is one function in a file of its own and one entry here."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from coordinator.output.streams import printing
from loadgen.model.entry import Entry

if TYPE_CHECKING:  # a format's name is needed for --help, and a record takes time to import
    from coordinator.output.judged import Judged


class Format(Protocol):
    """Writes one run to a text stream.  Raises a LoadgenError when it has nothing to write about this run."""

    def __call__(self, judged: Judged[Any, Any], stream: TextIO, /) -> None:
        """Write the finished run `judged` to the text stream `stream`.  Raises a LoadgenError as described above."""


FORMATS: dict[str, Entry] = {
    "text": Entry("coordinator.output.text:write_text", "the report"),
    "json": Entry("coordinator.output.json_text:write_json", "run.json"),
    "hdr": Entry("coordinator.output.hdr:write_hdr", "response times as an HdrHistogram interval log"),
    "csv": Entry(
        "coordinator.output.csv_rows:write_csv",
        "one row per target and second, per test, per number of VMs, per hog and service, per number of a trial, or "
        "per number of the paper",
    ),
    "seconds": Entry("coordinator.output.second_rows:write_seconds", "one row per VM and second, as tidy CSV"),
    "disturbance": Entry(
        "coordinator.output.disturbance_rows:write_disturbance", "what disturbed the load machines, second by second"
    ),
    "tcp": Entry(
        "coordinator.output.tcp_rows:write_tcp", "what the kernel saw of TCP connections, by target and second"
    ),
    "vms": Entry("coordinator.output.vm_rows:write_vms", "the counters of each VM beside what it served"),
    "junit": Entry("coordinator.output.junit:write_junit", "verdict and checks as JUnit XML, for CI systems"),
    "markdown": Entry("coordinator.output.markdown:write_markdown", "a summary in GitHub-flavoured Markdown"),
}
"""By name: the function, which is imported when it is called, and its description in `loadgen show --help`."""


def write(judged: Judged[Any, Any], name: str, stream: TextIO) -> None:
    """Write the run to `stream` in the format called `name`."""
    form: Format = FORMATS[name].load()
    form(judged, stream)


def print_result(judged: Judged[Any, Any], name: str = "text") -> None:
    """Write the run to stdout.  Raises OutputError when stdout cannot be written to."""
    with printing():
        write(judged, name, sys.stdout)
