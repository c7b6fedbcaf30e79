"""Writes every page of docs/reference again."""

from __future__ import annotations

from tools.reference.pages import FOLDER, PAGES

for name, text_of in PAGES.items():
    (FOLDER / name).write_text(text_of(), encoding="utf-8")
