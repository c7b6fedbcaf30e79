"""Placeholders of requests: what they may be, where they may stand, and how their values are written."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.engine.values import Filler
from loadgen.model.data_file import DataFile, described, parse_csv
from loadgen.model.errors import PlanError
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.http_values import NAMES, Value, split, split_tokens, tokens_for
from loadgen.schedule.optape import OpTape
from loadgen.schedule.strings import Strings
from loadgen.schedule.values import PIECE_DTYPE, PieceKind, Values, draw, mix
from workloads.http.compile import compile_http
from workloads.http.data import rows_of, settled

HOST = b"Host: h\r\n"


def plan(
    url: str = "http://h/", *, headers: tuple[str, ...] = (), body: str = "", file: Path | None = None
) -> HttpPlan:
    request = HttpRequest(url=url, headers=headers, body=body, method="POST" if body else "GET")
    data = DataFile() if file is None else described(file.read_bytes(), parse_csv(file.read_bytes(), "f"), str(file))
    return HttpPlan(requests=(request,), connections=1, data=data)


def requests_of(tape: OpTape, count: int, *, part: int = 0, parts: int = 1) -> list[bytes]:
    filler = Filler(tape.values, part=part, parts=parts, wall_ns=lambda: 1_700_000_000_123_456_789)
    return [filler.write(int(tape.ops["template"][0]), HOST, 7) for _ in range(count)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "users.csv"
    file.write_text('name,path,note\nann,a/b?c=1,"x ""y"" ж&z"\nbob,d,\n', encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("plain } text }}", ("plain } text }}",)),
        ("{{n}}", ("", Value("n"), "")),
        ("a{{ n }}b", ("a", Value("n"), "b")),
        ("{{first name|json}}", ("", Value("first name", "json"), "")),
        ("{{random:-5..7}}", ("", Value("random", "", -5, 7), "")),
        ('{"a":{{n}}}', ('{"a":', Value("n"), "}")),
        ("{{{n}}}", ("{", Value("n"), "}")),
        ("{{{{n}}", ("{{n}}",)),
        ("{{{{{{n}}", ("{{", Value("n"), "")),
    ],
)
def test_a_text_is_split_at_its_placeholders(text: str, parts: tuple[str | Value, ...]) -> None:
    assert split(text) == parts


@given(st.text(st.sampled_from("{}n|:ж \x00z"), max_size=12))
def test_any_text_is_split_or_refused_and_tokens_keep_what_it_says(text: str) -> None:
    try:
        parts = split(text)
    except PlanError:
        return
    found = split_tokens(tokens_for(text).encode(), b"{{")
    assert [part for part in found if isinstance(part, Value)] == [part for part in parts if isinstance(part, Value)]
    literal = b"".join(part for part in found if isinstance(part, bytes)).decode()
    assert literal == "".join(part for part in parts if isinstance(part, str))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{}}", "names no value"),
        ("{{n", "'{{n' is not a placeholder"),
        ("{{n}", "is not a placeholder"),
        ("{{n|hex}}", "the form 'hex'"),
        ("{{random}}", "not a range"),
        ("{{random:7..5}}", "not a range"),
        ("{{random:1-5}}", "not a range"),
        ("{{random:0..9999999999999999999}}", "not a range"),
        ("{{nam}}", "{{nam}} is not known: the names are n, uuid"),
        ("{{N}}", "{{N}} is not known"),
    ],
)
def test_a_wrong_placeholder_is_refused_with_what_is_allowed(text: str, words: str) -> None:
    for wrong in (plan(f"http://h/{text}"), plan(headers=(f"X: {text}",)), plan(body=text)):
        with pytest.raises(PlanError) as refused:
            wrong.check_values()
        assert words in refused.value.message
        assert refused.value.hint


def test_an_unknown_name_is_refused_with_the_columns(file: Path) -> None:
    with pytest.raises(PlanError, match=r"the columns of .*users\.csv are name, path, note") as refused:
        plan("http://h/{{nam}}", file=file).check_values()
    assert all(name in refused.value.message for name in NAMES)


@pytest.mark.parametrize("url", ["http://{{n}}/", "http://h:{{n}}/", "{{uuid}}", "http://a{{n}}.test?x"])
def test_the_server_cannot_differ_by_request(url: str) -> None:
    with pytest.raises(PlanError):
        plan(url).check_values()


def test_the_name_of_a_header_cannot_differ_by_request() -> None:
    with pytest.raises(PlanError):
        plan(headers=("X-{{n}}: 1",)).check_values()


def test_a_column_with_the_name_of_a_value_is_ambiguous_where_it_is_used(tmp_path: Path) -> None:
    (file := tmp_path / "f.csv").write_text("n,x\n1,2\n")
    plan("http://h/{{x}}", file=file).check_values()
    with pytest.raises(PlanError, match="ambiguous"):
        plan("http://h/{{n}}", file=file).check_values()


def test_old_records_with_braces_are_readable() -> None:
    for text in ("{{x}}", "{{"):
        old = plan(f"http://h/{text}", headers=(f"X: {text}",), body=text)
        assert HttpPlan.from_dict(old.to_dict()) == old
        assert old.targets[0].host == "h"


def test_values_are_escaped_for_their_place(file: Path) -> None:
    url = "http://h/{{path}}/{{path|raw}}?q={{note}}&a={{{{b}}"
    tape = compile_http(
        plan(url, headers=("X-Note: {{note|url}}; {{name}}",), body="{{note}} {{note|json}} {{note|url}}", file=file)
    )
    first, second = requests_of(tape, 2)
    line, _, rest = first.partition(b"\r\n")
    assert line == b"POST /a%2Fb%3Fc%3D1/a/b?c=1?q=x%20%22y%22%20%D0%B6%26z&a={{b}} HTTP/1.1"
    assert unquote(line.split(b"q=")[1].split(b"&a")[0].decode()) == 'x "y" ж&z'
    assert b"\r\nX-Note: x%20%22y%22%20%D0%B6%26z; ann\r\n" in rest
    body = rest.partition(b"\r\n\r\n")[2].decode()
    assert body == 'x "y" ж&z x \\"y\\" ж&z x%20%22y%22%20%D0%B6%26z'
    assert json.loads(f'"{body.split("z ")[1]}z"') == 'x "y" ж&z'
    assert f"\r\nContent-Length: {len(body.encode())}\r\n".encode() in rest
    assert second.startswith(b"POST /d/d?q=&a=")
    assert b"\r\nContent-Length: 2\r\n" in second


@pytest.mark.parametrize(
    ("url", "headers", "words"),
    [
        ("http://h/{{note|raw}}", (), "line 2: note has the character ' ', which cannot stand in a URL"),
        ("http://h/{{note|json}}", (), "cannot stand in a URL"),
        ("http://h/", ("X: {{bad}}",), r"line 3: bad has the character '\n', which cannot stand in a header"),
    ],
)
def test_values_that_would_break_a_request_are_refused_with_their_line(
    tmp_path: Path, url: str, headers: tuple[str, ...], words: str
) -> None:
    (file := tmp_path / "f.csv").write_text('note,bad\na b,1\nc,"2\n"\n')
    with pytest.raises(PlanError) as refused:
        compile_http(plan(url, headers=headers, file=file))
    assert words in refused.value.message
    assert "|url}}" in refused.value.hint


def test_times_are_written_in_three_units() -> None:
    (request,) = requests_of(compile_http(plan("http://h/{{timestamp}}/{{timestamp_ms}}/{{timestamp_ns}}")), 1)
    assert request.startswith(b"GET /1700000000/1700000000123/1700000000123456789 ")


def test_random_numbers_fill_their_range() -> None:
    tape = compile_http(plan("http://h/{{random:-1..1}}/{{connection}}"))
    found = [request.split(b" ")[1] for request in requests_of(tape, 3000)]
    counts = {path: found.count(path) for path in set(found)}
    assert counts.keys() == {b"/-1/7", b"/0/7", b"/1/7"}
    assert all(900 < count < 1100 for count in counts.values())


def test_mix_is_splitmix64() -> None:
    # The second and third number of SplitMix64 with the seed 0, from the reference implementation in C.
    assert [mix(step * 0x9E3779B97F4A7C15) for step in (1, 2)] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]
    assert len({draw(1, number, at) for number in range(100) for at in range(10)}) == 1000


@given(rows=st.integers(1, 50), turn=st.booleans(), parts=st.integers(1, 4), rounds=st.integers(1, 4))
def test_every_row_is_taken_once_in_each_round(rows: int, turn: bool, parts: int, rounds: int) -> None:
    values = Values(np.zeros(0, PIECE_DTYPE), np.zeros(2, np.uint32), Strings.of([]), rows, int(turn), 1)
    for number in range(rounds):
        taken = [values.row_of(number * rows + at) for at in range(rows)]
        assert sorted(taken) == list(range(rows))
        assert turn or taken == list(range(rows))


def test_values_survive_the_wire_and_templates_of_equal_requests_are_right(file: Path) -> None:
    tape = compile_http(plan("http://h/{{name}}", body="{{uuid}}", file=file))
    again = OpTape.from_wire(tape.to_wire())
    assert again.values is not None
    again.values.check()
    assert requests_of(again, 5) == requests_of(tape, 5)
    assert all(b"\r\nContent-Length: 36\r\n" in request for request in requests_of(tape, 2))
    assert max(map(len, requests_of(tape, 2))) <= again.values.longest(len(HOST))
    assert compile_http(plan()).values is None


@pytest.mark.parametrize(
    "change",
    [
        {"text": 99},
        {"kind": PieceKind.COLUMN, "text": 0},
        {"kind": 12},
    ],
)
def test_pieces_out_of_range_are_refused(change: dict[str, int]) -> None:
    values = compile_http(plan("http://h/{{n}}")).values
    assert values is not None
    values.check()
    pieces = values.pieces.copy()
    for name, value in change.items():
        pieces[name][0] = value
    with pytest.raises(ValueError, match="out of range"):
        Values(pieces, values.templates, values.strings, 0, 0, 1).check()
    with pytest.raises(ValueError, match="out of range"):
        Values(values.pieces, values.templates + np.uint32(1), values.strings, 0, 0, 1).check()


def test_a_file_that_has_changed_is_refused(file: Path) -> None:
    known = plan("http://h/{{name}}", file=file).data
    assert settled(known) == known
    assert rows_of(known).columns == ("name", "path", "note")
    assert settled(DataFile(file=str(file))) == known
    file.write_text("name\nother\n")
    for read in (settled, rows_of):
        with pytest.raises(PlanError, match="has changed"):
            read(known)
    file.unlink()
    with pytest.raises(PlanError, match="cannot be read"):
        settled(known)
