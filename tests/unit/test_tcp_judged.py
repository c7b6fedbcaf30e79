"""A spec run with views of TCP: joined to conformity, in the record, per VM and connection; across engines."""

from __future__ import annotations

import pytest

from coordinator.kinds.spec.kind import SpecKind
from coordinator.record.document import finished, result_of
from loadgen.measure.snapshot import Snapshot
from loadgen.verdict.result import RunResult
from loadgen.verdict.tcp_result import Blame
from tests.support.disturbance import second
from tests.support.tcp import tcp_view, with_tcp
from tests.unit.test_judge import header, judge, measured, played, snapshots

SEEN = {"looks": 3, "ordered": 3, "timed": 3}
SLOW = frozenset({1, 2, 3})


def lossy_run() -> list[Snapshot]:
    """Return a run whose slow connection 2 lost segments in its first window; each engine plays a connection per VM."""
    given = snapshots(SLOW)
    views = {
        ("local/0", 0): tcp_view({(0, 0): SEEN, (0, 1): {**SEEN, "retransmits": 4}}, {(0, 2): (4, 0)}, [100]),
        ("local/0", 1): tcp_view({(0, 1): {**SEEN, "retransmits": 1}}, {(0, 2): (1, 0)}),
        ("local/1", 1): tcp_view({(0, 0): SEEN, (0, 1): SEEN}, {}, [300]),
        ("local/1", 2): tcp_view({(1, 0): SEEN}, {(1, 1): (0, 2)}),
    }
    return [with_tcp(one, views[key]) if (key := (one.worker, one.interval)) in views else one for one in given]


def test_non_conforming_connections_had_losses_or_waited() -> None:
    result = judge(measured(lossy_run()))
    first, second_one = result.iterations
    assert first.tcp is not None
    assert first.tcp.not_conforming == Blame(connections=3, retransmits=1, out_of_order=0, waited=2, failed=0)
    assert (first.tcp.retransmits, first.tcp.looks, first.tcp.rtts) == (5, 15, 2)
    vm0, vm1 = (one.tcp for one in first.targets)
    assert vm0 is not None
    assert vm1 is not None
    assert vm0.not_conforming == Blame(connections=1, retransmits=0, out_of_order=0, waited=1, failed=0)
    assert vm1.not_conforming == Blame(connections=2, retransmits=1, out_of_order=0, waited=1, failed=0)
    assert second_one.tcp is not None
    assert second_one.tcp.not_conforming == Blame(connections=3, retransmits=0, out_of_order=1, waited=2, failed=0)
    assert second_one.targets[1].tcp is None  # no TCP connection to it was seen


def test_the_record_has_it() -> None:
    result = judge(measured(lossy_run()))
    document = finished(header(), result, finished_at="2026-01-01T00:00:00+00:00")
    again = result_of(document)
    assert isinstance(again, RunResult)
    assert [one.tcp for one in again.iterations] == [one.tcp for one in result.iterations]
    assert again.targets == result.targets
    assert "tcp" not in document["iterations"][1]["targets"][1]


def test_each_connection_has_its_losses() -> None:
    kind, run = SpecKind(), played(measured(lossy_run()))
    rows = kind.rows(run)
    assert rows is not None
    found = {(int(row["iteration"]), int(row["connection"])): row for row in rows if row["retransmits"]}
    assert {key: int(row["retransmits"]) for key, row in found.items()} == {(0, 2): 5}
    assert rows["out_of_order"].sum() == 2


def test_counters_of_namespaces_are_those_of_each_window() -> None:
    found = measured(lossy_run())
    for at, window in enumerate((0, 0, 1, 1)):
        found.intake.observe(second(at, window=window, tcp_retransmits=10**at))
    result = judge(found)
    assert [one.namespaces[0].counted["tcp_retransmits"] for one in result.iterations] == [11, 1100]
    assert judge(measured(snapshots())).iterations[0].namespaces == ()


def test_views_of_another_run_are_refused() -> None:
    (one, *_) = snapshots()
    for view in (tcp_view({}, {(0, 4): (1, 0)}), tcp_view({(0, 2): SEEN}, {})):
        with pytest.raises(ValueError, match="a view of TCP has more"):
            measured([with_tcp(one, view)])
