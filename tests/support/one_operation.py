"""Plays one operation in a process of its own: `python -m tests.support.one_operation ENGINE PORT TIMEOUT_NS`.

Prints the names of the outcomes.
"""

from __future__ import annotations

import sys

import uvloop

from loadgen.model.units import NS_PER_S
from tests.support.engines import ENGINES, play
from tests.support.tapes import Op, make_tape


def main(engine: str, port: str, timeout_ns: str) -> None:
    playing = play(
        ENGINES[engine],
        make_tape([Op()], 1),
        [int(port)],
        requests=1,
        timeout_ns=int(timeout_ns),
        length_ns=30 * NS_PER_S,
    )
    sys.stdout.write(" ".join(outcome.name for outcome in uvloop.run(playing).outcomes()))


if __name__ == "__main__":
    main(*sys.argv[1:])
