"""The pages of the site: paths, contents, and the frame that the application puts around a content."""

from __future__ import annotations

import re
from html import escape

from workloads import content
from workloads.support import facts

STRIDE_BYTES = 512
ANCHOR = b"<pre>\n"
"""The content begins after the first occurrence of this text."""
SUFFIX = b"\n</pre></body></html>\n"
"""The text after the content, up to the end of the page."""

ROOT = "/dyn/support/"
_SLUGS = tuple(kind.replace(" ", "-") for kind in facts.KINDS[: facts.DOWNLOAD])
_KEY = 0x05_0002  # part of the seed of every page
_PATH = re.compile(rf"{ROOT}({'|'.join(_SLUGS)})\?page=([0-9]{{3}})")
_HEAD = "<html>\n<head><title>SPECweb2005-style support: {}</title></head>\n<body>\n<p>page = {}\n"


def path(kind: int, number: int) -> str:
    """The path of a page in requests; `number` is 0..999."""
    return f"{ROOT}{_SLUGS[kind]}?page={number:03d}"


def parse_path(text: str) -> tuple[int, int] | None:
    """(kind, number) of a path that :func:`path` can make; None for every other text."""
    match = _PATH.fullmatch(text)
    return (_SLUGS.index(match[1]), int(match[2])) if match else None


def name(kind: int, number: int) -> str:
    """The name of a page, which its header line and its validation bytes contain."""
    return f"support/{_SLUGS[kind]}/{number:03d}"


def page_content(kind: int, number: int) -> bytes:
    """The content of a page, header line included."""
    key = (_KEY, kind * facts.PAGES + number)
    return content.whole(name(kind, number), facts.PAGE_BYTES[kind], STRIDE_BYTES, key)


def render(kind: int, number: int) -> bytes:
    """The whole page."""
    head = _HEAD.format(escape(facts.KINDS[kind]), f"{number:03d}")
    return b"".join((head.encode(), ANCHOR, page_content(kind, number), SUFFIX))
