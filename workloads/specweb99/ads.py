"""Custom advertisements: the choice of a user's ad, which the server computes and the client expects.

Server and client build equal tables from the arguments of the Reset command.  The tables are our own; they have the
*statistics* of those of SPECweb99 (see DESIGN.md): every user and every ad has one bit per attribute; only every 24th
ad can match, so a search visits at most 24 ads; 48 of 360 ads are expired.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ADS = 360
MATCH_EVERY = 24
"""Every 24th ad matches all users; no other ad matches anyone."""
WINDOW = 24
"""The number of ads in each of the two windows of expired ads."""
FIRST_USER = 10_000
"""The cookie of user u contains 10000 + u."""
MAX_USERS = 100_000  # the number of a user has five digits in the file

ATTRIBUTE_BITS = (2, 4, 4, 10, 10)
"""The widths, in bits of a demographic, of gender, age, region, first and second interest; most significant first."""
ATTRIBUTE_MASKS = (0x3000_0000, 0x0F00_0000, 0x00F0_0000, 0x000F_FC00, 0x0000_03FF)

_UNMATCHABLE = 75  # the sum of five weights of 15; the weights of our ads never reach it
_ALWAYS_WEIGHTS = 0x3FFFF  # gender 3, the others 15
_YEAR_S = 365 * 86_400
_PERSONALITY_LINE_BYTES = 15
_AD_LINE_BYTES = 39

MISSED_COOKIE = "found_cookie=Ad_id=-1&Ad_weight=0&Expired=1"
"""The Set-Cookie value of a server that could not search for an ad."""

_REQUEST_COOKIE = re.compile(r"my_cookie=user_id=([0-9]{1,10})&last_ad=([0-9]{1,3})")


@dataclass(frozen=True, slots=True)
class AdTables:
    """The two data files: `personality` has one value per user, the other arrays one per ad, shape (360,).

    Each of `weights` consists of five nibbles, gender in bits 19-16; `expiry_s` is Unix time.
    """

    personality: NDArray[np.int64]
    demographic: NDArray[np.int64]
    weights: NDArray[np.int64]
    minmatch: NDArray[np.int64]
    expiry_s: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Expected:
    """The results of all searches: `ad` and `weight` have the shape (users, 360) for (user, last_ad).

    `ad` is -1 where no other ad matches; `expired` has one value per ad.
    """

    ad: NDArray[np.int16]
    weight: NDArray[np.int16]
    expired: NDArray[np.bool_]

    def cookie(self, user: int, last_ad: int) -> str:
        """The Set-Cookie value of a CAD reply."""
        ad = int(self.ad[user, last_ad])
        return found_cookie(ad, int(self.weight[user, last_ad]), bool(self.expired[ad])) if ad >= 0 else MISSED_COOKIE


def make_tables(users: int, threads: int, windows: tuple[int, int], now_s: int, lifetime_s: int) -> AdTables:
    """The tables that a Reset command makes.

    There are `users` lines of personality.  The ads that match have the numbers `threads` mod 24.  The 24 ads from
    each of `windows` on (ad 0 follows ad 359) expired a year ago; the others expire `2 * lifetime_s` after `now_s`.
    """
    ads = np.arange(ADS)
    always = ads % MATCH_EVERY == threads % MATCH_EVERY
    demographic = _demographics(_Stream.AD, ADS)
    demographic[always] |= ATTRIBUTE_MASKS[-1]
    weights = _random(_Stream.WEIGHT, ADS) % (1 << 20)
    weights &= ~(1 << 16)  # an even weight for gender, so that the five never add up to 75
    weights[always] = _ALWAYS_WEIGHTS
    expired = np.zeros(ADS, dtype=np.bool_)
    for start in windows:
        expired[(start + np.arange(WINDOW)) % ADS] = True
    return AdTables(
        personality=_demographics(_Stream.USER, users),
        demographic=demographic,
        weights=weights,
        minmatch=np.where(always, 1, _UNMATCHABLE),
        expiry_s=np.where(expired, now_s - _YEAR_S, now_s + 2 * lifetime_s),
    )


def windows(seed: int) -> tuple[int, int]:
    """The first ads of the two windows of expired ads, ascending.

    They are 100 ads apart (ad 0 follows ad 359), so the windows never overlap.
    """
    first = int(_random((_Stream.WINDOW, seed % 2**64), 1)[0] % ADS)
    second = (first + 100) % ADS
    return min(first, second), max(first, second)


def expected(tables: AdTables, now_s: int) -> Expected:
    """The result of SPECweb99's search for every (user, last_ad).

    The search visits the ads after last_ad, then those from 0 up to last_ad.  It takes the first one whose weights,
    for the attributes that it shares with the user, add up to its minmatch or more.
    """
    common = tables.personality[:, None] & tables.demographic[None, :]
    total = np.zeros(common.shape, dtype=np.int16)
    for attribute, mask in enumerate(ATTRIBUTE_MASKS):
        weight = ((tables.weights >> (16 - 4 * attribute)) & 0xF).astype(np.int16)
        total += np.where(common & mask, weight, np.int16(0))
    never = 2 * ADS
    here = np.where(total >= tables.minmatch, np.arange(ADS), never)
    twice = np.concatenate([here, here + ADS], axis=1)
    following = np.minimum.accumulate(twice[:, ::-1], axis=1)[:, ::-1]  # first match at or after each place
    last_ad = np.arange(ADS)
    found = following[:, 1 : ADS + 1]
    ad = np.where(found < last_ad + ADS, found % ADS, -1)
    weight = np.where(ad >= 0, np.take_along_axis(total, ad, axis=1), 0)
    return Expected(ad.astype(np.int16), weight.astype(np.int16), now_s > tables.expiry_s)


def format_personality(tables: AdTables) -> bytes:
    """The file User.Personality: one line of 15 bytes per user."""
    return b"".join(b"%5d %8X\n" % row for row in enumerate(tables.personality.tolist()))


def format_ads(tables: AdTables) -> bytes:
    """The file Custom.Ads: 360 lines of 39 bytes."""
    columns = (tables.demographic, tables.weights, tables.minmatch, tables.expiry_s)
    rows = zip(range(ADS), *(column.tolist() for column in columns), strict=True)
    return b"".join(b"%5d %8X %8X %3d %10d\n" % row for row in rows)


def parse(personality: bytes, ads: bytes) -> AdTables:
    """The tables in the two files; raises ValueError when a file has another format."""
    users = _rows(personality, _PERSONALITY_LINE_BYTES, (10, 16))
    table = _rows(ads, _AD_LINE_BYTES, (10, 16, 16, 10, 10))
    for name, column in (("User.Personality", users[0]), ("Custom.Ads", table[0])):
        if not np.array_equal(column, np.arange(len(column))):
            raise ValueError(f"the lines of {name} are not numbered 0, 1, 2, …")
    if len(table[0]) != ADS:
        raise ValueError(f"Custom.Ads has {len(table[0])} lines, not {ADS}")
    return AdTables(users[1], table[1], table[2], table[3], table[4])


def request_cookie(user: int, last_ad: int) -> str:
    """The Cookie value that CAD and POST requests carry."""
    return f"my_cookie=user_id={FIRST_USER + user}&last_ad={last_ad}"


def parse_request_cookie(value: str, users: int) -> tuple[int, int] | None:
    """(user, last_ad) of a Cookie value; None for other text, and for a user beyond the first `users`."""
    match = _REQUEST_COOKIE.fullmatch(value)
    if match is None:
        return None
    user, last_ad = int(match[1]) - FIRST_USER, int(match[2])
    return (user, last_ad) if 0 <= user < users and last_ad < ADS else None


def found_cookie(ad: int, weight: int, expired: bool) -> str:
    """The Set-Cookie value of a CAD reply for the ad that was found."""
    return f"found_cookie=Ad_id={ad}&Ad_weight={weight}&Expired={int(expired)}"


def user_cookie(user: int) -> str:
    """The Set-Cookie value of a POST reply."""
    return f"my_cookie={FIRST_USER + user}"


def tag_text(ad: int) -> str:
    """The text that names an ad in a tag: `dirNNNNN/classX_Y`."""
    return f"dir{ad // 36:05d}/class{ad % 36 // 9}_{ad % 9}"


class _Stream:
    """The seeds of the independent random streams from which the tables are made."""

    USER, AD, WEIGHT, WINDOW = range(0x99_0010, 0x99_0014)


def _random(stream: int | tuple[int, int], count: int) -> NDArray[np.int64]:
    # random_raw is equal in all versions of numpy; server and client may have different ones
    raw = np.random.PCG64(stream).random_raw(count)
    return (raw >> np.uint64(11)).astype(np.int64)


def _demographics(stream: int, count: int) -> NDArray[np.int64]:
    raw = _random(stream, count)
    result = np.zeros(count, dtype=np.int64)
    for bits in ATTRIBUTE_BITS:
        result = (result << bits) | (1 << (raw % bits))
        raw //= bits
    return result


def _rows(data: bytes, line_bytes: int, bases: tuple[int, ...]) -> list[NDArray[np.int64]]:
    lines = data.splitlines(keepends=True)
    if any(len(line) != line_bytes or not line.endswith(b"\n") for line in lines):
        raise ValueError(f"a line is not {line_bytes} bytes long")
    fields = [line.split() for line in lines]
    if any(len(row) != len(bases) for row in fields):
        raise ValueError(f"a line does not have {len(bases)} fields")
    return [np.array([int(row[column], base) for row in fields], dtype=np.int64) for column, base in enumerate(bases)]
