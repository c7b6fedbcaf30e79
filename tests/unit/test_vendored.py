"""JavaScript of others is byte for byte that of its npm package, and the lock names no registry."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from coordinator.output.scripts import script

ROOT = Path(__file__).parents[2]
VENDOR = ROOT / "tools" / "vendor"
PLACES = ("coordinator/output/vendored", "tests/support/vendored")


def read(name: str) -> Any:
    return json.loads((VENDOR / name).read_text(encoding="utf-8"))


def test_each_file_has_the_checksum_of_the_package() -> None:
    for entry in read("manifest.json"):
        assert hashlib.sha256((ROOT / entry["file"]).read_bytes()).hexdigest() == entry["sha256"], entry["file"]


def test_no_file_is_without_an_entry() -> None:
    there = {str(path.relative_to(ROOT)) for place in PLACES for path in (ROOT / place).glob("*.*")}
    assert {name for name in there if not name.endswith((".py", ".pyc"))} == {
        one["file"] for one in read("manifest.json")
    }


def test_each_package_brings_its_licence() -> None:
    entries = read("manifest.json")
    assert {one["package"] for one in entries if one["source"] == "LICENSE"} == {one["package"] for one in entries}
    assert {one["license"] for one in entries if one["file"].startswith("coordinator")} == {"ISC", "MIT"}


def test_versions_are_those_of_the_lock() -> None:
    packages = read("package-lock.json")["packages"]
    for entry in read("manifest.json"):
        locked = packages[f"node_modules/{entry['package']}"]
        assert (locked["version"], locked["license"]) == (entry["version"], entry["license"])


def test_the_lock_has_checksums_and_names_no_registry() -> None:
    packages = {name: one for name, one in read("package-lock.json")["packages"].items() if name}
    assert [name for name, one in packages.items() if not one.get("integrity", "").startswith("sha512-")] == []
    assert "resolved" not in {key for one in packages.values() for key in one}
    assert "://" not in (VENDOR / "package-lock.json").read_text(encoding="utf-8")


def test_the_scripts_can_stand_in_a_page() -> None:
    assert "</script" not in script().lower()
    assert "<!--" not in script()
