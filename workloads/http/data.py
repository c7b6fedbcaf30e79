"""Reads data files: CSV whose columns stand in requests."""

from __future__ import annotations

from pathlib import Path

from loadgen.host.paths import to_path
from loadgen.model.data_file import MAX_BYTES, DataFile, Table, described, parse_csv
from loadgen.model.errors import PlanError


def read_data(file: Path) -> tuple[DataFile, Table]:
    """The data file at `file`, with its content.  Raises PlanError that names the file."""
    try:
        size = file.stat().st_size
        if size > MAX_BYTES:
            raise PlanError(f"{file} has {size / (1 << 20):,.0f} MiB; at most {MAX_BYTES >> 20} MiB are allowed")
        content = file.read_bytes()
    except (OSError, ValueError) as error:  # a name with a zero byte
        why = error.strerror if isinstance(error, OSError) else error
        raise PlanError(f"{file} cannot be read: {why}") from error
    table = parse_csv(content, str(file))
    return described(content, table, str(file.absolute())), table


def settled(data: DataFile) -> DataFile:
    """The data file that a plan names, as it is now.  Raises PlanError when it has changed since the plan was made."""
    if not data.file:
        return data
    found, _ = read_data(to_path(data.file))
    if data.sha256 not in ("", found.sha256):
        raise PlanError(
            f"{data.file} has changed since the plan was made (its SHA-256 is {found.sha256})",
            hint=f"give it again to use it as it is now: --data {data.file}",
        )
    return found


def rows_of(data: DataFile) -> Table:
    """The content of the data file of a plan.  Raises PlanError when the file has changed."""
    found, table = read_data(to_path(data.file))
    if found.sha256 != data.sha256:
        raise PlanError(f"{data.file} has changed since the plan was made", hint="start the run again")
    return table
