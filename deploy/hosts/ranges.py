"""Ranges in names of hosts, as Slurm and pdsh write them.

>>> expand("c[08-10,12]")
['c08', 'c09', 'c10', 'c12']
>>> split_list("a,c[1,3],[::1]:22")
['a', 'c[1,3]', '[::1]:22']
"""

from __future__ import annotations

import itertools
import re

from loadgen.model.errors import PlanError

MAX_HOSTS = 10_000
_MOST_DIGITS = 127  # of a range: a label of a name has 63 characters

_RANGES = re.compile(r"\[((?:[0-9]+(?:-[0-9]+)?)(?:,[0-9]+(?:-[0-9]+)?)*)\]")
_COMMA = re.compile(r",(?![^\[\]]*\])")


def split_list(text: str) -> list[str]:
    """The parts of a list between its commas, except commas inside brackets."""
    return _COMMA.split(text)


def expand(text: str) -> list[str]:
    """All names that a text with ranges stands for; the text itself if it has none.

    Leading zeros stay: c[01-20] has c01.  Raises PlanError for a range that is empty or too long.
    """
    literals = _RANGES.split(text)  # text, numbers, text, numbers, ..., text
    choices = [[part] if at % 2 == 0 else _numbers(part, text) for at, part in enumerate(literals)]
    total = 1
    for choice in choices:
        total *= len(choice)
    if total > MAX_HOSTS:
        raise PlanError(f"{text!r} stands for {total} hosts; at most {MAX_HOSTS} are allowed")
    return ["".join(parts) for parts in itertools.product(*choices)]


def _numbers(ranges: str, text: str) -> list[str]:
    found: list[str] = []
    for one in ranges.split(","):
        first, _, last = one.partition("-")
        if len(one) > _MOST_DIGITS:
            raise PlanError(f"{text!r}: the numbers of a range have too many digits", hint="write it like c[01-20]")
        begin, end = int(first), int(last or first)
        if end < begin:
            raise PlanError(f"{text!r}: the range {one} is empty", hint="write the smaller number first, like c[01-20]")
        if end - begin >= MAX_HOSTS:
            raise PlanError(f"{text!r}: the range {one} has more than {MAX_HOSTS} hosts")
        found += [f"{number:0{len(first)}d}" for number in range(begin, end + 1)]
    return found
