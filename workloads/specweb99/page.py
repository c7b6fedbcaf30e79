"""The page in which every dynamic operation replies (SPECweb99, see DESIGN.md)."""

from __future__ import annotations

from html import escape

ANCHOR = b"<pre>\n"
"""The content begins after the first occurrence of this text."""
SUFFIX = b"\n</pre></body></html>\n"
"""The text after the content, up to the end of the page."""

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
    """The page with `content`, which is not changed; the other texts are escaped, so they never contain the anchor."""
    head = _HEAD.format(*(escape(text) for text in (software, remote, script, query)))
    return b"".join((head.encode("utf-8", "replace"), ANCHOR, content, SUFFIX))


def content_of(page: bytes) -> bytes:
    """The content of a page that :func:`render` made; raises ValueError for any other text."""
    _, anchor, rest = page.partition(ANCHOR)
    if not anchor or not rest.endswith(SUFFIX):
        raise ValueError("the reply is not a page of the dynamic operations")
    return rest[: -len(SUFFIX)]
