"""The pages of the bank: paths, contents, and the frame that the application puts around a content."""

from __future__ import annotations

import re
from html import escape

from workloads import content
from workloads.banking import facts, images

STRIDE_BYTES = 512
ANCHOR = b"<pre>\n"
"""The content begins after the first occurrence of this text."""
SUFFIX = b"\n</pre></body></html>\n"
"""The text after the content, up to the end of the page."""

ROOT = "/dyn/banking/"
MAX_USERS = 1_000_000
_SLUGS = tuple(kind.replace(" ", "-") for kind in facts.KINDS)
_KEY = 0x06_0002  # part of the seed of every page
_PATH = re.compile(rf"{ROOT}({'|'.join(_SLUGS)})\?user=([0-9]{{6}})")
_HEAD = "<html>\n<head><title>SPECweb2005-style banking: {}</title></head>\n<body>\n<p>user = {}\n{}"


def path(kind: int, user: int) -> str:
    """The path of a page in requests; `user` is below MAX_USERS."""
    return f"{ROOT}{_SLUGS[kind]}?user={user:06d}"


def parse_path(text: str) -> tuple[int, int] | None:
    """(kind, user) of a path that :func:`path` can make; None for every other text."""
    match = _PATH.fullmatch(text)
    return (_SLUGS.index(match[1]), int(match[2])) if match else None


def name(kind: int, user: int) -> str:
    """The name of a page, which its header line and its validation bytes contain."""
    return f"banking/{_SLUGS[kind]}/{user:06d}"


def page_content(kind: int, user: int) -> bytes:
    """The content of a page, header line included."""
    key = (_KEY, kind * MAX_USERS + user)
    return content.whole(name(kind, user), facts.PAGE_BYTES[kind], STRIDE_BYTES, key)


def render(kind: int, user: int) -> bytes:
    """The whole page, which names its images."""
    embedded = "".join(f'<img src="/{images.name(image)}">\n' for image in images.of_page(kind))
    head = _HEAD.format(escape(facts.KINDS[kind]), f"{user:06d}", embedded)
    return b"".join((head.encode(), ANCHOR, page_content(kind, user), SUFFIX))
