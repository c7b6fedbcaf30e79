"""A fuzz target for the sans-IO reply reader: `python tests/fuzz/fuzz_http1.py -max_total_time=60 [corpus]`.

The first byte selects the row, the second byte the length of pieces.  Any stream must end in DONE or in an Outcome that
does not depend on the pieces; the compiled reader, if it was built, must give the same result.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import atheris  # type: ignore[import-untyped,unused-ignore]

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["loadgen.engine"]):
    from loadgen.engine.choice import why_not_compiled
    from loadgen.engine.http1 import DONE
    from loadgen.model.outcome import Outcome
    from tests.support.readers import CompiledReading, PythonReading, Reading
    from tests.support.streams import VARIANTS, stream_tape

TAPE = stream_tape(len(VARIANTS))
PYTHON = PythonReading(TAPE)
OTHERS: list[Reading] = [] if why_not_compiled() else [CompiledReading(TAPE), CompiledReading(TAPE, skipping=True)]


def look_at(data: bytes) -> None:
    """Read one input of the fuzzer with all readers, and compare the results."""
    if len(data) < 2:
        return
    row, step, stream = data[0] % len(VARIANTS), data[1] % 64 + 1, data[2:]
    pieces = [stream[at : at + step] for at in range(0, len(stream), step)]
    whole, cut = PYTHON.read(row, [stream] if stream else []), PYTHON.read(row, pieces)
    assert whole.result == DONE or Outcome(whole.result).is_error
    # In pieces, less of a stream is fed: surplus bytes that were not fed do not make the connection unusable, and less
    # of a wrong line is known.
    same = replace(cut, fed=whole.fed, reusable=whole.reusable, started=whole.started, surplus=whole.surplus)
    assert replace(same, wrong=whole.wrong) == whole
    assert whole.wrong[: len(cut.wrong)] == cut.wrong
    assert cut.reusable or not whole.reusable
    for other in OTHERS:
        assert other.read(row, pieces) == cut


if __name__ == "__main__":
    atheris.Setup(sys.argv, look_at)
    atheris.Fuzz()
