"""Fixtures that several contract suites share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.specweb_server import PLAN, Place
from workloads.specweb99 import fileset, urls


@pytest.fixture(scope="session")
def specweb_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a document root with the file set of the plan of :mod:`tests.support.specweb_server`."""
    root = tmp_path_factory.mktemp("set")
    fileset.ensure(root, urls.directories(PLAN))
    return root


@pytest.fixture
def place(specweb_files: Path, tmp_path: Path) -> Place:
    """Make the directories of one reference server."""
    return Place(specweb_files, tmp_path)
