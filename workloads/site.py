"""The pages of a site, which its application makes: paths, contents, and the frame around a content."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from workloads import content

STRIDE_BYTES = 512
ANCHOR = b"<pre>\n"
"""The content begins after the first occurrence of this text."""
SUFFIX = b"\n</pre></body></html>\n"
"""The text after the content, up to the end of the page."""


class Site:
    """The pages below `root`, which is /dyn/NAME/: of each of `kinds`, those with the numbers 0 to `count` - 1.

    `sizes_bytes`: the size of a content, by kind.  `asks`: what the query of a path calls the number.  `key`: a part of
    the seed of every page.
    """

    def __init__(
        self, name: str, kinds: Sequence[str], sizes_bytes: Sequence[int], *, asks: str, count: int, key: int
    ) -> None:
        self.root = f"/dyn/{name}/"
        self._name = name
        self._kinds = kinds
        self._slugs = [kind.replace(" ", "-") for kind in kinds]
        self._sizes_bytes = sizes_bytes
        self._asks = asks
        self._count = count
        self._digits = len(str(count - 1))
        self._key = key
        self._path = re.compile(rf"{self.root}({'|'.join(self._slugs)})\?{asks}=([0-9]{{{self._digits}}})")

    def path(self, kind: int, number: int) -> str:
        """The path of a page in requests."""
        return f"{self.root}{self._slugs[kind]}?{self._asks}={self._padded(number)}"

    def parse_path(self, text: str) -> tuple[int, int] | None:
        """(kind, number) of a path that `path` can make; None for every other text."""
        match = self._path.fullmatch(text)
        return (self._slugs.index(match[1]), int(match[2])) if match else None

    def name(self, kind: int, number: int) -> str:
        """The name of a page, which its header line and its validation bytes contain."""
        return f"{self._name}/{self._slugs[kind]}/{self._padded(number)}"

    def render(self, kind: int, number: int, more: str = "") -> bytes:
        """The whole page, with `more` before its content."""
        title = f"SPECweb2005-style {self._name}: {escape(self._kinds[kind])}"
        asked = f"{self._asks} = {self._padded(number)}"
        head = f"<html>\n<head><title>{title}</title></head>\n<body>\n<p>{asked}\n{more}"
        key = (self._key, kind * self._count + number)
        body = content.whole(self.name(kind, number), self._sizes_bytes[kind], STRIDE_BYTES, key)
        return b"".join((head.encode(), ANCHOR, body, SUFFIX))

    def _padded(self, number: int) -> str:
        return f"{number:0{self._digits}d}"
