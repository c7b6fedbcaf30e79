"""A run as one JSON document: its run.json."""

from __future__ import annotations

import json
from typing import Any, TextIO

from coordinator.output.judged import Judged


def write_json(judged: Judged[Any, Any], stream: TextIO) -> None:
    """Write the document of the record; that of a run that was cut says `unfinished`."""
    stream.write(json.dumps(judged.document, indent=2, ensure_ascii=False) + "\n")
