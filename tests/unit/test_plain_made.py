"""Plans with many requests: the requests are made once, not turned to plain data and back."""

from __future__ import annotations

import pytest

from coordinator.cli.plan_options import Start
from loadgen.model.data_file import NO_DATA
from loadgen.model.derived import Remembering
from loadgen.model.errors import PlanError
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.plain import from_plain


def test_values_that_were_made_already_are_neither_taken_apart_nor_checked_again() -> None:
    requests = Remembering((HttpRequest(url="http://h/"), HttpRequest(url="http://h/2")))
    assert from_plain(HttpPlan, {"requests": requests}).requests is requests
    assert Start().read(HttpPlan.from_dict, requests=requests).requests is requests


@pytest.mark.parametrize("wrong", [(), (1,), (HttpRequest(url="http://h/"), 1), (NO_DATA,)])
def test_other_tuples_are_not_lists_of_requests(wrong: tuple[object, ...]) -> None:
    with pytest.raises(PlanError, match="requests must be a list"):
        from_plain(HttpPlan, {"requests": wrong})
