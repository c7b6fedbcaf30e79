"""The kernel of a guest: one that is installed on this machine, with the modules that a guest needs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from loadgen.model.errors import PlanError

_NEEDED = ("virtio_mmio", "virtio_blk", "virtio_net", "ext4", "overlay")
_IMAGES = ("boot/vmlinuz-{release}", "lib/modules/{release}/vmlinuz")  # of Debian and its like, and of Fedora
_HINT = (
    "install a kernel package; it need not be the kernel that runs (Debian: apt-get install linux-image-cloud-amd64)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A kernel image, its release, and the module files to load, in that order."""

    image: Path
    release: str
    modules: tuple[Path, ...]


def find_kernel(root: Path = Path("/")) -> Kernel:
    """The kernel for guests: the one that runs here if it is installed and can be read, else the newest.

    Raises PlanError when no kernel can be used; its message says why the preferred one cannot.
    """
    problems = []
    for release in _releases(root):
        image = next((path for form in _IMAGES if (path := root / form.format(release=release)).exists()), None)
        if image is None:
            continue
        if not os.access(image, os.R_OK):
            problems.append(f"this user may not read {image}")
            continue
        known = _Modules(root / "lib/modules" / release)
        if missing := [name for name in _NEEDED if not known.has(name)]:
            problems.append(f"the kernel {release} has no {', '.join(missing)}")
            continue
        return Kernel(image=image, release=release, modules=known.order(_NEEDED))
    why = problems[0] if problems else "no kernel is installed in /boot with its modules in /lib/modules"
    raise PlanError(f"QEMU has no kernel to start: {why}", hint=_HINT)


def _releases(root: Path) -> Iterator[str]:
    running = os.uname().release
    found = sorted((root / "lib/modules").glob("*/modules.dep"), key=lambda path: path.stat().st_mtime, reverse=True)
    names = [path.parent.name for path in found]
    yield from sorted(names, key=lambda name: name != running)


class _Modules:
    """The modules of one kernel and what they depend on, as depmod wrote it (modules.dep(5))."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._needs: Mapping[str, list[str]] = {
            path: needs.split() for path, _, needs in map(_parted, _lines(directory / "modules.dep"))
        }
        self._paths = {_name(path): path for path in self._needs}
        self._builtin = {_name(path) for path in _lines(directory / "modules.builtin")}

    def has(self, name: str) -> bool:
        """Whether the kernel has that module, as a file or compiled in."""
        return name in self._paths or name in self._builtin

    def order(self, names: tuple[str, ...]) -> tuple[Path, ...]:
        """The files of these modules, each behind those that it needs; modules that are compiled in have none."""
        found: dict[str, None] = {}
        for path in [self._paths[name] for name in names if name in self._paths]:
            for one in (*reversed(self._needs[path]), path):  # modules.dep lists all, the deepest one last
                found.setdefault(one)
        return tuple(self._directory / path for path in found)


def _parted(line: str) -> tuple[str, str, str]:
    return line.partition(":")


def _name(path: str) -> str:
    return Path(path).name.partition(".ko")[0].replace("-", "_")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
