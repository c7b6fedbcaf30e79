"""The files that `loadgen http` reads: requests, lists of URLs, certificates and keys."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from loadgen.model.data_file import DataFile
from loadgen.model.errors import PlanError
from loadgen.model.http_request import HttpRequest

STDIN = Path("-")
"""Stands for the standard input where a list of URLs is expected."""


def read_requests(file: Path) -> tuple[HttpRequest, ...]:
    """Read the requests of a TOML file.  Raises PlanError that names the file."""
    from workloads.http.requests import parse_requests

    return _parsed(file, parse_requests, "is not TOML")


def read_urls(file: Path) -> tuple[HttpRequest, ...]:
    """Read a list of URLs from a file or from STDIN.  Raises PlanError that names the file and the line."""
    from workloads.http.urls import parse_urls

    return _parsed(file, parse_urls, "is not a list of URLs")


def _parsed(file: Path, parse: Callable[[str], tuple[HttpRequest, ...]], what: str) -> tuple[HttpRequest, ...]:
    try:
        data = sys.stdin.buffer.read() if file == STDIN else file.read_bytes()
        return parse(data.decode("utf-8"))
    except OSError as error:
        raise PlanError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PlanError(f"{file} {what}: {error}") from error
    except PlanError as error:
        raise PlanError(f"{file}: {error.message}", hint=error.hint) from error


def read_data_file(file: Path | None) -> DataFile | None:
    """Return the data file of the command line as it is now; None without one.  Raises PlanError."""
    if file is None:
        return None
    from workloads.http.data import read_data

    return read_data(file)[0]
