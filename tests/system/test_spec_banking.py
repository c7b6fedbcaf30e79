"""`loadgen spec --workload banking` for real, and the commands that make what its servers need."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema

import coordinator.record
from tests.support.cli import loadgen

SHORT = ("--vms", "2", "--connections", "4", "--iterations", "1", "--ramp-up", "0", "--warmup", "0", "--ramp-down", "0")


def test_pages_and_images_of_the_builtin_server(tmp_path: Path) -> None:
    """Eight users for 6 s: every page is right.  Whether enough of them were in time depends on the machine."""
    cache = tmp_path / "cache"
    done = loadgen(
        *("spec", "--workload", "banking", "--server", "builtin", "--duration", "6s", "--json", "--out", "run", *SHORT),
        cache=cache,
        cwd=tmp_path,
    )
    document = done.document
    assert (done.code, document["verdict"]) in ((0, "conforming"), (1, "not conforming"), (3, "INVALID")), done.err
    schema = json.loads((Path(coordinator.record.__file__).parent / "run.schema.json").read_text())
    jsonschema.validate(document, schema)
    (iteration,) = document["iterations"]
    assert iteration["errors"] == 0
    assert iteration["requests_ok"] > 0
    assert set(iteration["by_group"]) == {"page", "check image", "under way"}
    assert set(iteration["by_kind"]) >= {"login", "account summary", "check image"}
    shown = loadgen("show", "run", cache=cache, cwd=tmp_path)
    assert "SPECweb2005-style banking run" in shown.out
    made = loadgen("fileset", "--workload", "banking", "--verify", cache=cache, cwd=tmp_path)
    assert made.code == 0, made.err
    assert "19 images, every byte is correct" in made.out
