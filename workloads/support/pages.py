"""The pages of the site."""

from __future__ import annotations

from workloads.site import Site
from workloads.support import facts

SITE = Site("support", facts.KINDS[: facts.DOWNLOAD], facts.PAGE_BYTES, asks="page", count=facts.PAGES, key=0x05_0002)
