"""Copy the JavaScript of npm packages into the repository: `make vendor`.

package.json names the packages, package-lock.json their versions and the checksums of the packages.  The tool lets npm
install them into a temporary directory, copies the files below as they are, and writes manifest.json: what each file is
and its checksum.  The test suite compares the files with the manifest, so nobody edits them by hand.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

_PAGES, _TESTS = "coordinator/output/vendored", "tests/support/vendored"

FILES = (
    ("d3", "dist/d3.min.js", f"{_PAGES}/d3.min.js"),
    ("d3", "LICENSE", f"{_PAGES}/d3.LICENSE"),
    ("@observablehq/plot", "dist/plot.umd.min.js", f"{_PAGES}/plot.min.js"),
    ("@observablehq/plot", "LICENSE", f"{_PAGES}/plot.LICENSE"),
    # What the bundle of Observable Plot holds beside its own code, and d3 does not have.
    ("interval-tree-1d", "LICENSE", f"{_PAGES}/plot.interval-tree-1d.LICENSE"),
    ("binary-search-bounds", "LICENSE", f"{_PAGES}/plot.binary-search-bounds.LICENSE"),
    ("isoformat", "LICENSE", f"{_PAGES}/plot.isoformat.LICENSE"),
    ("axe-core", "axe.min.js", f"{_TESTS}/axe.min.js"),
    ("axe-core", "LICENSE", f"{_TESTS}/axe.LICENSE"),
)
"""The package, the file in it, and where it is put."""


def main() -> None:
    """Copy the files and write the manifest."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, scratch)
        # `ci` installs what the lock says, and fails when a package has another checksum.
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=scratch, check=True)
        entries = [_take(Path(scratch) / "node_modules" / package, source, to) for package, source, to in FILES]
    (HERE / "manifest.json").write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")


def _take(package: Path, source: str, to: str) -> dict[str, str]:
    """Copy the file `source` of the installed `package`; return its entry of the manifest."""
    content = (package / source).read_bytes()
    (ROOT / to).parent.mkdir(parents=True, exist_ok=True)
    (ROOT / to).write_bytes(content)
    about = json.loads((package / "package.json").read_text(encoding="utf-8"))
    return {
        "package": about["name"],
        "version": about["version"],
        "license": about["license"],
        "source": source,
        "file": to,
        "sha256": hashlib.sha256(content).hexdigest(),
    }


if __name__ == "__main__":
    main()
