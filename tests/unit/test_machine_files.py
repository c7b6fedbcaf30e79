"""The files of this machine in containers: which directories are mounted, and the image that they are mounted over."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from deploy.oci.files import image_of_directories, mounts_of_this_machine


def machine(root: Path) -> Path:
    """Make a root directory like that of Debian."""
    for name in ("dev", "etc", "lost+found", "proc", "run", "srv", "sys", "tmp", "usr/bin", "var/lib", "var/tmp"):
        (root / name).mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    (root / "var/run").symlink_to("/run")
    (root / "core").touch()
    return root


def test_a_container_sees_the_directories_of_the_machine_but_has_its_own_for_files_of_the_moment(
    tmp_path: Path,
) -> None:
    found = mounts_of_this_machine(["/usr/lib/python3", "/tmp/python", "/var/tmp/loadgen"], machine(tmp_path))
    assert found == dict.fromkeys(["/etc", "/srv", "/usr", "/var/lib", "/tmp/python", "/var/tmp/loadgen"], False)


def test_the_image_has_a_place_for_each_mount_and_the_links_of_the_machine(tmp_path: Path) -> None:
    image = image_of_directories("/work-here", machine(tmp_path))
    with tarfile.open(fileobj=io.BytesIO(image.tar)) as tar:
        found = {entry.name: entry for entry in tar.getmembers()}
    assert {name for name, entry in found.items() if entry.isdir()} == {
        *("dev", "etc", "proc", "run", "srv", "sys", "tmp", "usr", "var", "var/lib", "var/tmp", "work-here"),
    }
    assert {name: entry.linkname for name, entry in found.items() if entry.issym()} == {
        "bin": "usr/bin",
        "var/run": "/run",
    }
    assert {name for name, entry in found.items() if entry.mode == 0o1777} == {"tmp", "var/tmp"}
    assert image_of_directories("/work-here", tmp_path).digest == image.digest
    assert image_of_directories("/work-there", tmp_path).digest != image.digest
