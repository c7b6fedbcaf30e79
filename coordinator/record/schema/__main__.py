"""Writes run.schema.json and docs/json.md from the types of the documents."""

from __future__ import annotations

from coordinator.record.schema.generate import FILE, schema_of_documents, schema_text
from coordinator.record.schema.page import PAGE, page_text

FILE.write_text(schema_text(), encoding="utf-8")
PAGE.write_text(page_text(schema_of_documents()), encoding="utf-8")
