"""Placeholders in requests, such as `{{uuid}}` or `{{name}}`, which stand for another value in each request.

`{{NAME|FORM}}` says how the value is written: `url` escapes it for URLs and forms, `json` for a string in JSON, `raw`
not at all.  Without a form, a value is escaped in a URL, and written as it is in headers and bodies.  `{{{{` stands for
two braces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loadgen.model.errors import PlanError

FORMS = ("url", "json", "raw")
NAMES = ("n", "uuid", "random:LOW..HIGH", "timestamp", "timestamp_ms", "timestamp_ns", "connection")
"""What a placeholder may name besides the columns of the data file."""

MAX_RANDOM = 10**18

_PLAIN = frozenset(NAMES) - {"random:LOW..HIGH"}
_PLACE = re.compile(r"\{\{\{\{|\{\{([^{}]*)\}\}")
_RANDOM = re.compile(r"random\s*:\s*([+-]?[0-9]{1,19})\s*\.\.\s*([+-]?[0-9]{1,19})")
_TOKEN = re.compile(rb"zQx7b7bx((?:[0-9a-f]{2})*)xQz")
_LITERAL = "write {{{{ for two braces"


@dataclass(frozen=True, slots=True)
class Value:
    """A placeholder.  `name` is one of NAMES, where the range of `random` is in `low` and `high`, or a column.

    `form` is one of FORMS; "" for the form that is usual in its place.
    """

    name: str
    form: str = ""
    low: int = 0
    high: int = 0

    def __str__(self) -> str:
        name = f"random:{self.low}..{self.high}" if self.name == "random" else self.name
        return f"{name}|{self.form}" if self.form else name

    @property
    def is_column(self) -> bool:
        """Whether the value comes from the data file."""
        return self.name not in _PLAIN and self.name != "random"


def split(text: str) -> tuple[str | Value, ...]:
    """The literal parts and the placeholders of `text`, in order.  Raises PlanError for a malformed placeholder."""
    if "{{" not in text:
        return (text,)
    found: list[str | Value] = []
    literal, at = "", 0
    for match in _PLACE.finditer(text):
        literal += _checked(text[at : match.start()])
        at = match.end()
        if match[1] is None:
            literal += "{{"
        else:
            found += [literal, _value(match[1])]
            literal = ""
    return (*found, literal + _checked(text[at:]))


def values_in(*texts: str) -> Iterator[Value]:
    """The placeholders of `texts`.  Raises PlanError for a malformed placeholder."""
    return (part for text in texts for part in split(text) if isinstance(part, Value))


def tokens_for(text: str) -> str:
    """`text` with a token of letters and digits in the place of each placeholder, so that it can be parsed as a URL.

    Two literal braces become a token, too.  :func:`split_tokens` finds them again.  Raises PlanError for a malformed
    placeholder.
    """
    if "{{" not in text:
        return text
    return "".join(
        part.replace("{{", _token("")) if isinstance(part, str) else _token(str(part)) for part in split(text)
    )


def split_tokens(text: bytes, braces: bytes) -> tuple[bytes | Value, ...]:
    """The parts of a text in which :func:`tokens_for` put tokens; `braces` stands for two literal braces."""
    parts = _TOKEN.split(text)
    return tuple(_read_token(part, braces) if at % 2 else part for at, part in enumerate(parts))


def check_places(url: str, headers: Sequence[str]) -> None:
    """Raise PlanError when there is a placeholder in the name of the server in a URL, or in that of a header."""
    if line := next((line for line in headers if "{{" in line.partition(":")[0]), ""):
        raise PlanError(f"{line!r} has a placeholder in the name of a header", hint="values can stand after the colon")
    server = re.match(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?/*[^/?#]*", url)
    if server is not None and "{{" in server[0]:
        raise PlanError(
            f"{url!r} has a placeholder in the name of its server", hint="values can stand in the path and the query"
        )


def check_names(values: Sequence[Value], columns: Sequence[str], file: str) -> None:
    """Raise PlanError when a placeholder names neither one of ours nor one of `columns`, those of the data `file`."""
    for value in values:
        if value.is_column and value.name not in columns:
            ours = ", ".join(NAMES)
            known = f"; the columns of {file} are {_some(columns)}" if file else ""
            hint = "" if file else "--data FILE.csv gives more names; "
            raise PlanError(f"{{{{{value.name}}}}} is not known: the names are {ours}{known}", hint=f"{hint}{_LITERAL}")
        if not value.is_column and value.name in columns:
            raise PlanError(
                f"{{{{{value.name}}}}} is ambiguous: {file} has a column of that name", hint="rename the column"
            )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:20])
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown


def _checked(literal: str) -> str:
    if "{{" in literal:
        at = literal.index("{{")
        raise PlanError(f"{literal[at : at + 40]!r} is not a placeholder like {{{{n}}}}", hint=_LITERAL)
    return literal


def _value(text: str) -> Value:
    name, bar, form = (part.strip() for part in text.rpartition("|")) if "|" in text else (text.strip(), "", "")
    if not name:
        raise PlanError(f"{{{{{text}}}}} names no value", hint=f"write {{{{n}}}}, {{{{uuid}}}} or a column; {_LITERAL}")
    if bar and form not in FORMS:
        raise PlanError(f"{{{{{text}}}}} has the form {form!r}", hint=f"the forms are {', '.join(FORMS)}")
    if name != "random" and not name.startswith("random:"):
        return Value(name, form)
    match = _RANDOM.fullmatch(name)
    low, high = (int(match[1]), int(match[2])) if match else (1, 0)
    if low > high or max(abs(low), abs(high)) > MAX_RANDOM:
        raise PlanError(
            f"{{{{{text}}}}} is not a range of whole numbers, smaller one first, within ±10^18",
            hint="write it like {{random:1..100}}",
        )
    return Value("random", form, low, high)


def _token(text: str) -> str:
    return f"zQx7b7bx{text.encode().hex()}xQz"


def _read_token(digits: bytes, braces: bytes) -> bytes | Value:
    return _value(bytes.fromhex(digits.decode()).decode()) if digits else braces
