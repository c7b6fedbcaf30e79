"""A run as one JSON document: its run.json."""

from __future__ import annotations

from typing import Any, TextIO

from coordinator.output.judged import Judged
from coordinator.output.streams import write_document


def write_json(judged: Judged[Any, Any], stream: TextIO) -> None:
    """Write the document of the record; that of a run that was cut says `unfinished`."""
    write_document(judged.document, stream)
