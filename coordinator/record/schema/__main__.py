"""Writes run.schema.json from the types of the documents."""

from __future__ import annotations

from coordinator.record.schema.generate import FILE, schema_text

FILE.write_text(schema_text(), encoding="utf-8")
