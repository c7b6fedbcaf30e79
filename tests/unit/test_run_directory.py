"""Directories of wardens: those that a killed warden left are removed, and no others."""

from __future__ import annotations

import multiprocessing
import tempfile
from pathlib import Path

import pytest

from deploy.run_directory import make_run_directory, remove_leftovers


def test_only_directories_without_an_owner_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with multiprocessing.get_context("fork").Pool(1) as pool:
        lived = pool.apply(make_run_directory)
        left = tmp_path / "loadgen-vms-left"
        (left / "vm01").mkdir(parents=True)
        other = tmp_path / "loadgen-other"
        other.mkdir()
        (tmp_path / "loadgen-vms-link").symlink_to(other)
        (tmp_path / "loadgen-vms-file").touch()
        remove_leftovers()
        assert lived.is_dir()
        assert not left.exists()
        assert other.is_dir()
    remove_leftovers()
    assert not lived.exists()
