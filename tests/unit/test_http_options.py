"""Options of `loadgen http` about names, bodies and headers: the plan that they make."""

from __future__ import annotations

import pytest

from tests.support.printed_plans import plan_data, refusal


@pytest.mark.parametrize(
    ("arguments", "resolve", "version"),
    [
        ([], "all", "any"),
        (["--resolve", "first"], "first", "any"),
        (["-4"], "all", "4"),
        (["-6", "--resolve", "all"], "all", "6"),
    ],
)
def test_the_addresses_of_names_are_chosen(arguments: list[str], resolve: str, version: str) -> None:
    plan = plan_data("http", "http://a/", *arguments)
    assert (plan.get("resolve", "all"), plan.get("ip_version", "any")) == (resolve, version)


def test_other_choices_of_addresses_are_refused() -> None:
    assert "'some' is not one of 'all', 'first'" in refusal("http", "http://a/", "--resolve", "some")
