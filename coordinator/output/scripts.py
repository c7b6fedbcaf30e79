"""The JavaScript that pages of loadgen use: d3 and Observable Plot, as their npm packages have them (`make vendor`)."""

from __future__ import annotations

from importlib.resources import files

_NAMES = ("d3.min.js", "plot.min.js")


def script() -> str:
    """Return one script that defines `d3` and `Plot` in a page, about 490 kB."""
    place = files("coordinator.output").joinpath("vendored")
    return "\n".join(place.joinpath(name).read_text(encoding="utf-8") for name in _NAMES)
