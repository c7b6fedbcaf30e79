"""Advertisements: the search compared with a literal implementation of its rules, and the statistics of the tables."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.model.plan import SpecPlan
from workloads.specweb99 import ads, urls

NOW_S = 1_800_000_000


def tables(users: int = 20, windows: tuple[int, int] = (40, 140)) -> ads.AdTables:
    return ads.make_tables(users, users, windows, NOW_S, 100)


def search(of: ads.AdTables, user: int, last_ad: int) -> tuple[int, int, bool, int] | None:
    """Search step by step; returns (ad, weight, expired, number of visited ads)."""
    ad, looked = (last_ad + 1) % 360, 1
    while ad != last_ad:
        common = int(of.personality[user]) & int(of.demographic[ad])
        weights = [int(of.weights[ad]) >> shift & 0xF for shift in (16, 12, 8, 4, 0)]
        masks = (0x30000000, 0x0F000000, 0x00F00000, 0x000FFC00, 0x000003FF)
        total = sum(weight for weight, mask in zip(weights, masks, strict=True) if common & mask)
        if total >= of.minmatch[ad]:
            return ad, total, bool(of.expiry_s[ad] < NOW_S), looked
        ad, looked = (ad + 1) % 360, looked + 1
    return None


@given(st.integers(1, 400), st.integers(0, 10**6), st.integers(0, 359))
def test_the_table_gives_the_results_of_the_search(users: int, pick: int, last_ad: int) -> None:
    of = tables(users)
    expected = ads.expected(of, NOW_S)
    user = pick % users
    found = search(of, user, last_ad)
    assert found is not None
    ad, weight, expired, _ = found
    assert (expected.ad[user, last_ad], expected.weight[user, last_ad], expected.expired[ad]) == (ad, weight, expired)
    assert expected.cookie(user, last_ad) == f"found_cookie=Ad_id={ad}&Ad_weight={weight}&Expired={int(expired)}"


@given(st.data())
def test_the_table_gives_the_results_of_the_search_for_any_tables(data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 2**32))
    rng = np.random.default_rng(seed)
    of = ads.AdTables(
        personality=rng.integers(0, 2**30, 3),
        demographic=rng.integers(0, 2**30, 360),
        weights=rng.integers(0, 2**20, 360),
        minmatch=np.where(rng.random(360) < data.draw(st.sampled_from([0.003, 0.1, 1.0])), 1, 76),
        expiry_s=rng.integers(NOW_S - 100, NOW_S + 100, 360),
    )
    expected = ads.expected(of, NOW_S)
    last_ad = data.draw(st.integers(0, 359))
    found = search(of, 1, last_ad)
    assert int(expected.ad[1, last_ad]) == (found[0] if found else -1)
    assert int(expected.weight[1, last_ad]) == (found[1] if found else 0)
    if not found:
        assert expected.cookie(1, last_ad) == ads.MISSED_COOKIE


def test_a_search_ends_before_the_ad_at_which_it_began() -> None:
    of = tables()
    only = dataclasses.replace(of, minmatch=np.where(np.arange(360) == 20, 1, 76))
    expected = ads.expected(only, NOW_S)
    assert expected.ad[0, 20] == -1
    assert expected.cookie(0, 20) == "found_cookie=Ad_id=-1&Ad_weight=0&Expired=1"
    assert set(np.delete(expected.ad[0], 20).tolist()) == {20}


def test_a_random_last_ad_scans_1_to_24_ads_evenly() -> None:
    of = tables()
    looked = [found[3] for user in range(20) for last_ad in range(360) if (found := search(of, user, last_ad))]
    assert np.bincount(looked, minlength=25)[1:].tolist() == [20 * 15] * 24


def test_the_previous_ad_as_last_ad_scans_24_ads_and_walks_the_15_matching_ones() -> None:
    expected = ads.expected(tables(), NOW_S)
    ad, seen = int(expected.ad[0, 100]), []
    for step in range(30):
        following = int(expected.ad[step % 20, ad])
        assert (following - ad) % 360 == 24
        seen.append(ad)
        ad = following
    assert len(set(seen)) == 15


@given(st.integers(-(2**70), 2**70))
def test_48_of_360_ads_and_2_of_15_answers_are_expired(seed: int) -> None:
    first, second = ads.windows(seed)
    assert 0 <= first < second < 360
    expected = ads.expected(tables(windows=(first, second)), NOW_S)
    assert expected.expired.sum() == 48
    answers = set(expected.ad.reshape(-1).tolist())
    assert len(answers) == 15
    assert sum(bool(expected.expired[ad]) for ad in answers) == 2


def test_users_and_ads_have_one_bit_for_each_attribute() -> None:
    of = tables(1000)
    for mask in ads.ATTRIBUTE_MASKS:
        bits = {int(value) & mask for value in of.personality}
        assert len(bits) == mask.bit_count()  # every value occurs
        assert all(value.bit_count() == 1 for value in bits)
    ordinary = of.minmatch == 75
    assert ordinary.sum() == 345
    reach = sum(of.weights[ordinary] >> shift & 0xF for shift in (16, 12, 8, 4, 0))
    assert max(reach) < 75  # no user can ever match
    assert all((int(value) & 0x3FF).bit_count() == 1 for value in of.demographic[ordinary])


def test_the_data_files_have_their_formats_and_read_back() -> None:
    of = tables(1234)
    personality, table = ads.format_personality(of), ads.format_ads(of)
    assert {len(line) for line in personality.splitlines(keepends=True)} == {15}
    assert {len(line) for line in table.splitlines(keepends=True)} == {39}
    assert (len(personality), len(table)) == (15 * 1234, 39 * 360)
    back = ads.parse(personality, table)
    for column in ("personality", "demographic", "weights", "minmatch", "expiry_s"):
        assert np.array_equal(getattr(back, column), getattr(of, column)), column


@pytest.mark.parametrize(
    ("personality", "table"),
    [
        (b"garbage", None),
        (b"    0 12345678", None),
        (b"    1 12345678\n", None),
        (b"    0 1234567Z\n", None),
        (None, b""),
        (None, b"x" * 39),
        (None, b"    0 00000001 00000001  75 1700000000\n"),
    ],
)
def test_invalid_data_files_are_refused(personality: bytes | None, table: bytes | None) -> None:
    of = tables()
    with pytest.raises(ValueError, match=r"."):
        ads.parse(
            ads.format_personality(of) if personality is None else personality,
            ads.format_ads(of) if table is None else table,
        )


@given(st.integers(0, 99_999), st.integers(0, 359))
def test_request_cookies_read_back(user: int, last_ad: int) -> None:
    text = ads.request_cookie(user, last_ad)
    assert ads.parse_request_cookie(text, user + 1) == (user, last_ad)
    assert ads.parse_request_cookie(text, user) is None


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "my_cookie=",
        "my_cookie=user_id=9999&last_ad=0",
        "my_cookie=user_id=10000&last_ad=360",
        "my_cookie=user_id=10000&last_ad=-1",
        "my_cookie=user_id=10000&last_ad=1 ",
        "my_cookie=user_id=10000&last_ad=1\n",
        "my_cookie=user_id=1" + "0" * 5000 + "&last_ad=1",
        "my_cookie=user_id=१००००&last_ad=1",
    ],
)
def test_invalid_cookies_have_no_user(cookie: str) -> None:
    assert ads.parse_request_cookie(cookie, 10) is None


def test_tags_name_the_ad() -> None:
    assert ads.tag_text(0) == "dir00000/class0_0"
    assert ads.tag_text(359) == "dir00009/class3_8"
    assert ads.tag_text(100) == "dir00002/class3_1"  # 100 = 2 * 36 + 3 * 9 + 1
    assert len({ads.tag_text(ad) for ad in range(360)}) == 360


def test_server_and_client_agree_through_the_reset_command() -> None:
    plan = SpecPlan(vms=3, connections=33, seed=-5)
    on_server = urls.parse_reset(urls.reset_command(plan).partition("?")[2], NOW_S)
    assert on_server is not None
    assert len(on_server.personality) == 33
    # an hour later, and at the end of the run, no other ad has expired
    late = NOW_S + 3600 + sum(plan.phases.length_ns(i) for i in range(3)) // 10**9
    for now_s in (NOW_S, late):
        server, client = ads.expected(on_server, now_s), urls.expected_ads(plan)
        assert np.array_equal(server.ad, client.ad)
        assert np.array_equal(server.weight, client.weight)
        assert np.array_equal(server.expired, client.expired)
