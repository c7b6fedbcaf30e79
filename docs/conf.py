"""Settings of the documentation site: `make docs` builds it with Sphinx into build/site.

The source directory is the root of the repository, so that a link from a page to DESIGN.md, or to a file of the code,
is the same on the site and in the repository.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from loadgen import __version__  # noqa: E402  (the line above makes it importable)

project = "loadgen"
author = "the authors of loadgen"
version = release = __version__
language = "en"

extensions = ["myst_parser"]
root_doc = "docs/index"
FRONT = ["README.md", "DESIGN.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]
include_patterns = [*FRONT, "docs/**.md", "benchmarks/RESULTS.md"]
# Sphinx walks through every other folder; this keeps it out of those that have no pages.
exclude_patterns = [path.name for path in ROOT.iterdir() if path.is_dir() and path.name not in ("docs", "benchmarks")]

nitpicky = True
smartquotes = False  # two hyphens begin an option
myst_heading_anchors = 6

html_theme = "furo"
html_title = f"loadgen {__version__}"
html_extra_path = ["redirect"]  # the root of the site leads to docs/index.html
html_static_path = ["style"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_show_sphinx = False
html_show_search_summary = False  # a page of a local file may not fetch another one

CONTENTS = {
    "docs/index": re.compile(r"^- \[([^\]]+)\]\(([^)#]+)\.md\)", re.MULTILINE),
    "DESIGN": re.compile(r"\[([^\]]+)\]\((docs/decisions/[^)#]+)\.md\)"),
}
"""Pages whose links are the table of contents, and what such a link looks like."""


def add_contents(app: Sphinx, name: str, source: list[str]) -> None:
    """Append the table of contents to a page that lists other pages, a part for each heading with such a list.

    So the lists that a reader of the repository sees are the only ones that have to be kept.
    """
    if name not in CONTENTS:
        return
    parts = re.split(r"^## (.*)$", source[0], flags=re.MULTILINE)[1:]
    for heading, text in zip(parts[::2], parts[1::2], strict=True):
        pages = dict.fromkeys((page, title) for title, page in CONTENTS[name].findall(text))
        if pages:
            lines = [f"{title} <{page}>" for page, title in pages]
            source[0] += "\n".join(["", "```{toctree}", ":hidden:", f":caption: {heading}", "", *lines, "```", ""])


def make_accessible(
    app: Sphinx, page: str, template: str, context: dict[str, Any], tree: nodes.document | None
) -> None:
    """Let the keyboard reach what scrolls sideways, and give the headings of the contents their level."""
    navigation = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = navigation.replace('role="heading"', 'role="heading" aria-level="2"')
    if "body" in context:
        body = context["body"].replace("<pre>", '<pre tabindex="0">')
        context["body"] = body.replace('<div class="table-wrapper', '<div tabindex="0" class="table-wrapper')


def setup(app: Sphinx) -> None:
    """Register what is above."""
    app.connect("html-page-context", make_accessible, priority=900)  # after the theme
    app.connect("source-read", add_contents)
    app.add_lexer("mermaid", TextLexer)  # drawn by code hosts only; the site shows its text
