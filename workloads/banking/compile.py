"""Compiles the workload: one circular tape of pages with their images, and the page at which each connection starts.

A page lasts as long as all of its bytes take on the user's line, and then the think time.  So the tape is a circle in
time, on which the connections start evenly spaced, inside of pages and think times.

A think time takes up to 150 s.  A connection that would be inside of one page and its think time for the whole window
begins that page anew when it starts, as in the support workload (:mod:`workloads.support.compile`).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from loadgen.model.plan import SpecPlan
from loadgen.model.units import NS_PER_MS, NS_PER_S
from loadgen.schedule.optape import (
    CHECK_DTYPE,
    CLOSE_AFTER,
    EMBEDDED,
    KEEP_ALIVE,
    OP_DTYPE,
    START_DTYPE,
    OpTape,
    StringsBuilder,
)
from workloads import site
from workloads.banking import chain, facts, images, pages
from workloads.circle import start_inside
from workloads.content import header_line
from workloads.deal import SESSIONS, deal_sessions

GROUPS = ("page", "check image", "under way")
PAGE, CHECK_IMAGE, UNDER_WAY = range(len(GROUPS))

MAX_PAGES = 20_000
"""The greatest number of pages; one connection needs a day and a half for them."""
_LEAST_PAGES = 1_000  # 215 sessions: with fewer, the rare pages are too few to have their shares

_LONG_NS = 600 * NS_PER_S
"""From this length of tape on, passed by all connections in a window, no think time takes more than a fourth of it."""

_HEAD_BYTES = 230  # head of a common server's reply; only the places where connections start depend on it
_IMAGES_OF = np.array(facts.IMAGES_OF, np.int64)
_KEY = 0x06_0020


def bytes_of(kind: int) -> int:
    """The bytes of a page of this kind with its images, with heads of a common server."""
    sizes = [facts.PAGE_BYTES[kind], *(facts.IMAGE_BYTES[image] for image in images.of_page(kind))]
    return sum(sizes) + _HEAD_BYTES * len(sizes)


_BYTES = np.array([bytes_of(kind) for kind in range(len(facts.KINDS))], np.int64)
REQUESTS_PER_PAGE = 1 + float(np.dot(chain.SHARES, _IMAGES_OF))
"""The mean number of requests of a page: itself and its images."""


def mean_span_ns(line_bps: int) -> float:
    """The mean time from a page to the next on ideal servers: line time and think time."""
    thinking = 1 - chain.SHARES[facts.LOGIN] - chain.SHARES[facts.FRONT]
    mean_bytes = float(np.dot(chain.SHARES, _BYTES))
    return 8 * NS_PER_S * mean_bytes / line_bps + thinking * facts.THINK_MEAN_S * NS_PER_S


def connects_per_s(line_bps: int) -> float:
    """The TCP connections that a user opens per second."""
    return REQUESTS_PER_PAGE * SESSIONS.per_operation * NS_PER_S / mean_span_ns(line_bps)


def compile_tape(plan: SpecPlan, users: int) -> OpTape:
    """The tape of a plan whose largest server has so many user ids; it does not depend on the number of engines."""
    rng = np.random.default_rng((_KEY, plan.seed % 2**64))
    passed_ns = plan.total_connections * plan.phases.measure_ns * plan.phases.iterations
    least = min(MAX_PAGES, max(_LEAST_PAGES, math.ceil(passed_ns / mean_span_ns(plan.line_bps))))
    states = chain.deal_states(least, rng)
    kind = np.array(facts.KIND_OF)[states]
    user = chain.draw_users(states, users, rng)
    think_ms = chain.deal_thinks_ms(states, rng)
    strings = StringsBuilder()
    checks, page_check, page_line, image_line = _texts(kind, user, strings)
    inside = start_inside(plan, _BYTES[kind] * 8 * NS_PER_S // plan.line_bps + think_ms * NS_PER_MS, _LONG_NS, rng)
    under_way, place = np.unique(inside.operation[inside.anew], return_inverse=True)
    # the pages of the circle, and those that connections begin anew, which lead back to it
    page = np.concatenate([np.arange(len(kind)), under_way])
    row = np.concatenate([[0], np.cumsum(1 + _IMAGES_OF[kind[page]])])
    ops = np.zeros(row[-1], OP_DTYPE)
    rests = [strings.add(f"User-Agent: loadgen\r\n{close}\r\n".encode()) for close in ("", "Connection: close\r\n")]
    keep_alive, last = deal_sessions(len(ops), rng)
    ops["rest"] = np.array(rests)[last.astype(np.int64)]
    ops["flags"] = keep_alive * KEEP_ALIVE + last * CLOSE_AFTER
    ops["status"] = 200
    at, owner = row[:-1], np.repeat(np.arange(len(page)), np.diff(row))
    ops["kind"] = kind[page][owner]
    ops["group"] = np.where(ops["kind"] == facts.FRONT, CHECK_IMAGE, PAGE)
    ops["group"][owner >= len(kind)] = UNDER_WAY
    ops["next"] = at[(page[owner] + 1) % len(kind)]
    ops["line"][at], ops["check"][at], ops["think_ms"][at] = page_line[page], page_check[page], think_ms[page]
    embedded = np.ones(len(ops), np.bool_)
    embedded[at] = False
    which = np.concatenate([np.array(images.of_page(one), np.int64) for one in kind[page].tolist()])
    ops["line"][embedded], ops["check"][embedded] = image_line[which], which
    ops["flags"][embedded] |= EMBEDDED
    starts = np.zeros(inside.anew.shape, START_DTYPE)
    first = inside.operation.copy()
    first[inside.anew] = len(kind) + place
    starts["row"], starts["delay_ns"] = at[first], inside.delay_ns
    return OpTape(
        ops=ops,
        checks=checks,
        strings=strings.build(),
        starts=starts,
        kinds=facts.KINDS,
        groups=GROUPS,
        kind_shares=chain.SHARES,
        lanes=facts.PARALLEL_CONNECTIONS,
    )


def _texts(
    kind: NDArray[np.int64], user: NDArray[np.int64], strings: StringsBuilder
) -> tuple[NDArray[np.void], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The checks of images and then of pages, the check and the request line of each page, the line of each image."""
    keys, page_check = np.unique(np.stack([kind, user]), axis=1, return_inverse=True)
    shown = len(images.FILES)
    checks = np.zeros(shown + keys.shape[1], CHECK_DTYPE)
    checks["literal_at"] = -1
    lines = np.zeros(len(checks), np.int64)

    def put(at: int, name: str, path: str, size: int, stride_bytes: int) -> None:
        lines[at] = strings.add(f"GET {path} HTTP/1.1\r\n".encode())
        checks["content_bytes"][at], checks["stride_bytes"][at] = size, stride_bytes
        checks["prefix"][at] = strings.add(header_line(size, name))
        checks["period"][at] = strings.add(name.encode())

    for image, size in enumerate(facts.IMAGE_BYTES):
        put(image, images.name(image), f"/{images.name(image)}", size, images.STRIDE_BYTES)
    for at, (one, of) in enumerate(keys.T.tolist(), start=shown):
        put(at, pages.SITE.name(one, of), pages.SITE.path(one, of), facts.PAGE_BYTES[one], site.STRIDE_BYTES)
        checks["anchor"][at], checks["suffix"][at] = strings.add(site.ANCHOR), strings.add(site.SUFFIX)
    page_check = shown + page_check.reshape(-1)
    return checks, page_check, lines[page_check], lines[:shown]
