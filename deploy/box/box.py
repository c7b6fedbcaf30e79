"""The description of a box, as the driver sends it to the warden."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LISTENING_FD = 3
"""The descriptor of a published port's listening socket in the first process of a box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A port of the host's network that a box listens on, through a socket made before the box is built."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A pair of network devices between the host and a box, and the box's own address.

    `device` is the host's end; `address` is the box's and `gateway` the host's, of one IP version, without a prefix
    length.
    """

    device: str
    address: str
    gateway: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One box.

    `directory` is empty and belongs to the box: its upper layer over `base` and its /tmp are made there.  The paths
    `visible` of the host are readable in the box at the same place, and those in `writable` can be written to, even
    where `base` does not contain them.  The directory `hidden` of the base is empty in the box.  Each process first
    joins the cgroups at the paths `groups`.  Only in a `durable` box, fsync() waits until files are on the disk.
    """

    hostname: str
    directory: str
    base: str = "/"
    hidden: str = ""
    visible: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    published: Published | None = None
    link: Link | None = None
    durable: bool = False

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Box:
        """The inverse of :func:`dataclasses.asdict`."""
        lists = {name: tuple(data[name]) for name in ("visible", "writable", "groups")}
        published = Published(**data["published"]) if data["published"] else None
        link = Link(**data["link"]) if data["link"] else None
        return cls(**{**data, **lists, "published": published, "link": link})
