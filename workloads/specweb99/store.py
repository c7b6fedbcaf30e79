"""The state of a server between requests: the POST log and the ad tables, in files that other processes may read."""

from __future__ import annotations

import fcntl
import os
from dataclasses import replace
from pathlib import Path

from workloads.specweb99 import ads, postlog


class PostLog:
    """The POST log in a directory.  Appending is atomic, also between processes."""

    def __init__(self, workdir: Path) -> None:
        self._path = workdir / "post.log"

    def append(self, record: postlog.PostRecord) -> None:
        """Append `record` with the next number in place of its own; raises OSError."""
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            count = int(os.pread(handle, postlog.HEADER_BYTES, 0) or b"0")
            numbered = replace(record, number=count + 1)
            # the count last: if the writer dies between the two calls, the log has one POST less
            os.pwrite(handle, numbered.to_bytes(), postlog.HEADER_BYTES + count * postlog.RECORD_BYTES)
            os.pwrite(handle, postlog.header(count + 1), 0)
        finally:
            os.close(handle)

    def read(self) -> bytes:
        """The content of the log; raises OSError."""
        try:
            with self._path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH)
                return file.read()
        except FileNotFoundError:
            return postlog.EMPTY

    def reset(self) -> None:
        """Remove all records; raises OSError."""
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            os.ftruncate(handle, 0)
            os.pwrite(handle, postlog.EMPTY, 0)
        finally:
            os.close(handle)


class AdStore:
    """The files User.Personality and Custom.Ads in a directory; they are read again when they have changed."""

    def __init__(self, workdir: Path) -> None:
        self._paths = (workdir / "User.Personality", workdir / "Custom.Ads")
        self._seen: tuple[tuple[int, int, int], ...] | None = None
        self._tables: ads.AdTables | None = None
        self._answers: ads.Expected | None = None

    def write(self, tables: ads.AdTables) -> None:
        """Replace both files; raises OSError."""
        for path, data in zip(self._paths, (ads.format_personality(tables), ads.format_ads(tables)), strict=True):
            new = path.with_name(f"{path.name}.{os.getpid()}.new")
            new.write_bytes(data)
            new.replace(path)
        self._seen = None  # inode, size and time may all be equal to those before

    def users(self) -> int:
        """The number of users; raises OSError or ValueError when the files cannot be read."""
        return len(self._load()[0].personality)

    def search(self, user: int, last_ad: int, now_s: int) -> tuple[int, int, bool] | None:
        """(ad, weight, expired) for a user, or None when no other ad matches; raises like :meth:`users`."""
        tables, answers = self._load()
        ad = int(answers.ad[user, last_ad])
        if ad < 0:
            return None
        return ad, int(answers.weight[user, last_ad]), bool(now_s > tables.expiry_s[ad])

    def _load(self) -> tuple[ads.AdTables, ads.Expected]:
        stats = [path.stat() for path in self._paths]
        seen = tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats)
        if self._tables is None or self._answers is None or seen != self._seen:
            personality, table = (path.read_bytes() for path in self._paths)
            self._tables = ads.parse(personality, table)
            self._answers = ads.expected(self._tables, now_s=0)  # each search compares the dates with the clock
            self._seen = seen
        return self._tables, self._answers
