"""The shares of SPECweb99, over more than a million draws with a fixed seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads import deal
from workloads.specweb99 import files, mix

DRAWS = 1_100_000


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(99)


def test_classes_and_their_bytes_are_those_of_the_benchmark(rng: np.random.Generator) -> None:
    classes = mix.deal_classes(DRAWS, rng)
    sizes = files.FILE_BYTES[classes, mix.deal_files(classes, rng)]
    shares = np.bincount(classes) / DRAWS
    assert shares == pytest.approx([0.35, 0.50, 0.14, 0.01], abs=1e-12)
    assert sizes.mean() == pytest.approx(14_727, rel=0.001)
    bytes_by_class = np.bincount(classes, weights=sizes)
    assert bytes_by_class / bytes_by_class.sum() == pytest.approx([0.012, 0.170, 0.477, 0.341], abs=0.0006)
    assert bytes_by_class / np.bincount(classes) == pytest.approx([501, 5_018, 50_177, 501_773], rel=0.002)


@pytest.mark.parametrize("class_", range(4))
def test_files_have_their_popularity_within_each_class(rng: np.random.Generator, class_: int) -> None:
    classes = np.full(DRAWS, class_)
    shares = np.bincount(mix.deal_files(classes, rng), minlength=9) / DRAWS
    published = [0.0393, 0.0589, 0.0884, 0.1767, 0.3535, 0.1178, 0.0707, 0.0505, 0.0442]
    assert shares == pytest.approx(published, abs=0.0006)


def test_operation_types_have_their_shares_whatever_the_class(rng: np.random.Generator) -> None:
    groups = mix.deal_groups(DRAWS, rng)
    classes = mix.deal_classes(DRAWS, rng)
    assert np.bincount(groups) / DRAWS == pytest.approx([0.7, 0.1245, 0.126, 0.048, 0.0015], abs=1e-12)
    for class_ in range(3):
        of_class = np.bincount(groups[classes == class_], minlength=5) / (classes == class_).sum()
        assert of_class == pytest.approx([0.7, 0.1245, 0.126, 0.048, 0.0015], abs=0.003)


def test_seven_of_ten_requests_are_on_persistent_connections(rng: np.random.Generator) -> None:
    keep_alive, last = deal.deal_sessions(DRAWS, rng)
    lengths = np.diff(np.flatnonzero(last), prepend=-1)
    persistent = keep_alive[last]
    assert lengths.sum() == DRAWS
    assert keep_alive.mean() == pytest.approx(0.7, abs=1e-4)
    assert persistent.mean() == pytest.approx(0.189, abs=0.0005)
    assert lengths.mean() == pytest.approx(2.70, abs=0.005)
    assert set(lengths[~persistent].tolist()) == {1}
    assert np.bincount(lengths[persistent], minlength=16)[5:].tolist() == pytest.approx([7000] * 11, rel=0.001)


def test_directories_follow_zipf(rng: np.random.Generator) -> None:
    shares = np.bincount(mix.draw_directories(DRAWS, 364, rng), minlength=364) / DRAWS
    assert shares[0] == pytest.approx(0.154, abs=0.001)
    assert shares[:9] * np.arange(1, 10) == pytest.approx(shares[0], rel=0.02)
    assert shares[-1] > 0


@given(st.integers(1, 3000), st.integers(0, 2**32))
def test_a_sequence_of_sessions_can_be_repeated(count: int, seed: int) -> None:
    keep_alive, last = deal.deal_sessions(count, np.random.default_rng(seed))
    assert len(keep_alive) == len(last) == count
    assert last[-1]
    lengths = np.diff(np.flatnonzero(last), prepend=-1)
    assert lengths.max() <= 15
    single = lengths == 1
    assert not keep_alive[last][single][:-1].any()  # the last connection may be a persistent one with fewer requests


@given(st.lists(st.integers(0, 30), min_size=1, max_size=6).filter(sum), st.integers(1, 500), st.integers(0, 2**32))
def test_every_complete_deck_has_exactly_its_cards(deck: list[int], count: int, seed: int) -> None:
    cards = deal.deal(deck, count, np.random.default_rng(seed))
    assert len(cards) == count
    for at in range(0, count - sum(deck) + 1, sum(deck)):
        assert np.bincount(cards[at : at + sum(deck)], minlength=len(deck)).tolist() == deck


def test_the_connections_per_operation_are_those_that_are_dealt() -> None:
    rng = np.random.default_rng(3)
    counts = [int(deal.deal_sessions(2_000, rng)[1].sum()) for _ in range(100)]
    assert np.mean(counts) / 2_000 == pytest.approx(deal.SESSIONS.per_operation, rel=0.02)
    # The decks make the number more even than renewal theory says.
    assert np.std(counts) < deal.SESSIONS.deviation * 2_000**0.5
