"""The ways into boxes for children of the warden: the first one builds its box, the others join it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from deploy.box.box import Box
from deploy.box.build import build
from deploy.box.namespaces import (
    children_in_new_pid_namespace,
    children_in_pid_namespace_of,
    join,
    join_groups,
)

_READY = b"1"


@dataclass(frozen=True, slots=True)
class Entrance:
    """A way into a box: a child calls `enter` first, and must have inherited the descriptors `kept`."""

    enter: Callable[[], None]
    kept: tuple[int, ...]


class Entrances:
    """The boxes that this process has founded, and the ways into them."""

    def __init__(self) -> None:
        self._founders: dict[str, int] = {}

    @contextlib.contextmanager
    def into(self, name: str, box: Box) -> Iterator[Callable[[], Entrance]]:
        """The ways into the box `name` for children that are forked inside the context; call it once for each child.

        :meth:`founded` has to be called with the pid of the first child.  Raises OSError when the user may not create
        namespaces.
        """
        if name in self._founders:
            with children_in_pid_namespace_of(self._founders[name]):
                yield lambda: Entrance(lambda: self._join(name, box), ())
            return
        ready, built = os.pipe2(os.O_CLOEXEC)
        try:
            with children_in_new_pid_namespace():
                yield lambda: self._first_or_later(name, box, ready, built)
        finally:
            os.close(ready)
            os.close(built)

    def founded(self, name: str, pid: int) -> None:
        """Note the first process of a box."""
        self._founders.setdefault(name, pid)

    def gone(self, pid: int) -> None:
        """Forget the box whose first process has ended: a pid may soon belong to another process."""
        self._founders = {name: founder for name, founder in self._founders.items() if founder != pid}

    def _first_or_later(self, name: str, box: Box, ready: int, built: int) -> Entrance:
        if name not in self._founders:
            return Entrance(lambda: _found(box, built), (built,))
        return Entrance(lambda: self._join_when(ready, name, box), (ready,))

    def _join(self, name: str, box: Box) -> None:
        join_groups(box.groups)
        join(self._founders[name])

    def _join_when(self, ready: int, name: str, box: Box) -> None:
        if os.read(ready, 1) != _READY:
            raise SystemExit("the first process of the VM did not start")
        os.close(ready)
        self._join(name, box)


def _found(box: Box, built: int) -> None:
    build(box)
    with contextlib.suppress(BrokenPipeError):  # nobody waits to join
        os.write(built, _READY)
    os.close(built)
