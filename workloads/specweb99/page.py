"""The page that every dynamic operation answers with (SPECweb99, see DESIGN.md)."""

from __future__ import annotations

from html import escape

ANCHOR = b"<pre>\n"
"""The content begins behind its first occurrence."""
SUFFIX = b"\n</pre></body></html>\n"
"""What ends the page, behind the content."""

_HEAD = """\
<html>
<head><title>SPECweb99 Dynamic GET & POST Test</title></head>
<body>
<p>SERVER_SOFTWARE = {}
<p>REMOTE_ADDR = {}
<p>SCRIPT_NAME = {}
<p>QUERY_STRING = {}
"""


def render(content: bytes, *, software: str, remote: str, script: str, query: str) -> bytes:
    """The page around `content`, which is put in as it is; the rest is escaped, so it never holds the anchor."""
    head = _HEAD.format(*(escape(text) for text in (software, remote, script, query)))
    return b"".join((head.encode("utf-8", "replace"), ANCHOR, content, SUFFIX))


def content_of(page: bytes) -> bytes:
    """What :func:`render` was given; raises ValueError when `page` is not such a page."""
    _, anchor, rest = page.partition(ANCHOR)
    if not anchor or not rest.endswith(SUFFIX):
        raise ValueError("the reply is not a page of the dynamic operations")
    return rest[: -len(SUFFIX)]
