"""The pages of the bank, which name their images."""

from __future__ import annotations

from workloads.banking import facts, images
from workloads.site import Site

MAX_USERS = 1_000_000
SITE = Site("banking", facts.KINDS, facts.PAGE_BYTES, asks="user", count=MAX_USERS, key=0x06_0002)


def render(kind: int, user: int) -> bytes:
    """The whole page of this kind for a user."""
    embedded = "".join(f'<img src="/{images.name(image)}">\n' for image in images.of_page(kind))
    return SITE.render(kind, user, embedded)
