"""Write run.schema.json anew."""

from __future__ import annotations

from coordinator.record.schema.generate import FILE, schema_text

FILE.write_text(schema_text(), encoding="utf-8")
