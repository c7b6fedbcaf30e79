"""Shared options and fixtures: golden files, which hold approved output that a test compares with the present output.

`pytest --update-golden` writes the present output into the files; then a person must read the diff.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.proxies import PATIENCE_S, descriptors, listening
from tests.support.vms import within

# The run time of an example depends on the machine, so it must not fail a test.
settings.register_profile("loadgen", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("loadgen")

GOLDEN = Path(__file__).parent / "golden"


def pytest_configure() -> None:
    """Restore the default action of SIGINT, which a test run in the background ignores.

    Child processes would inherit that, and tests send Ctrl-C to their children.
    """
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="Write the golden files instead of comparing with them."
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Return a function that compares `text` with the golden file of a name."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"{path} is missing: run pytest --update-golden, then read it"
        assert text == path.read_text(encoding="utf-8"), f"{path} differs: pytest --update-golden, then read the diff"

    return check


@pytest.fixture
def upstream() -> Iterator[socket.socket]:
    """Make a listening socket for a proxy to connect to."""
    with listening() as sock:
        yield sock


@pytest.fixture
def no_descriptor_is_left() -> Iterator[None]:
    """Fail a test that leaves open descriptors in this process."""
    before = descriptors()
    yield
    assert within(PATIENCE_S, lambda: descriptors() <= before)
