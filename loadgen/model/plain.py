"""Frozen dataclasses as plain data (for JSON and TOML), and strictly back.

Reading follows the types of the fields.  It converts nothing and accepts no unknown key.  An error is one line that
names the place, the value and what is allowed, like `phases.iterations must be a whole number, got '3'`.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import functools
import re
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from loadgen.model.errors import PlanError

T = TypeVar("T")

_PLAIN = frozenset((str, int, float, bool, type(None)))
_UNCHECKED = frozenset((str, bool))
_MOST_INT = (1 << 63) - 1  # what messages between processes and the compiled engine can hold
_MOST_SHOWN_BITS = 256  # of a number in decimal digits: Python refuses to write thousands of them
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_WORDS: dict[Any, str] = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


def to_plain(value: Any) -> Any:
    """`value` as dicts, lists, texts, numbers and booleans: enums become their values, tuples lists."""
    if type(value) in _PLAIN:  # first, because plans may have 100,000 requests
        return value
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple):
        return [to_plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: to_plain(getattr(value, name)) for name in _names_of(type(value))}
    return value


def as_written(value: object) -> str:
    """The value for a message, as TOML has it: `true`, `2026-01-31`; texts and numbers are alike in Python."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(as_written, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_key(key)} = {as_written(item)}' for key, item in value.items())}}}"
    if isinstance(value, int) and value.bit_length() > _MOST_SHOWN_BITS:
        return hex(value)
    return value.isoformat() if isinstance(value, datetime.date | datetime.time) else repr(value)


def _key(name: str) -> str:
    """A key of a table as TOML has it: in quotation marks if it holds other characters than those of a bare key."""
    return name if _BARE_KEY.fullmatch(name) else repr(name)


def made(data: object) -> typing.TypeGuard[tuple[Any, ...]]:
    """Whether `data` is a tuple of dataclasses, which were checked when they were made.  No file can hold one."""
    return isinstance(data, tuple) and bool(data) and all(map(dataclasses.is_dataclass, data))


def from_plain(kind: type[T], data: object, where: str = "") -> T:
    """The inverse of :func:`to_plain` for the dataclass `kind`.

    `where` names the place of `data` in messages; empty for a whole plan.  A tuple of dataclasses in it is taken as it
    is (see :func:`made`): plans may have 100,000 requests.  Raises PlanError.
    """
    if not isinstance(data, dict):
        raise PlanError(f"{where or 'the plan'} must be a table, got {as_written(data)}")
    types = _types_of(kind)  # type: ignore[arg-type]  # mypy looks at the __hash__ of its instances
    for key in data:
        if key not in types:
            raise PlanError(f"unknown key {_place(where, key)}", hint=f"the allowed keys are {_any_of(types, 'and')}")
    for name in _needed_of(kind):  # type: ignore[arg-type]
        if name not in data:
            raise PlanError(f"{_place(where, name)} is missing")
    values = {
        key: item
        if type(item) is types[key] and types[key] in _UNCHECKED
        else _value(types[key], item, _place(where, key))
        for key, item in data.items()
    }
    try:
        return kind(**values)
    except PlanError as error:
        raise (PlanError(f"{where}: {error.message}", hint=error.hint) if where else error) from None


def check_types(value: Any) -> None:
    """Raise PlanError when a field of a dataclass has another type than it says: Python does not check that.

    A whole number is a number, too, and a list stands for a tuple.
    """
    for name, kind in _types_of(type(value)).items():  # type: ignore[arg-type]  # see from_plain
        if not _fits(kind, given := getattr(value, name)):
            raise PlanError(f"{name} must be {_word_of(kind)}, got {given!r}", hint=_hint_on(kind, given))


def _hint_on(kind: Any, given: object) -> str:
    if kind is int and isinstance(given, float):
        return "write int(...)"
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return f"write {_any_of([f'{kind.__name__}.{member.name}' for member in kind], 'or')}"
    return ""


def _fits(kind: Any, value: object) -> bool:
    if typing.get_origin(kind) is tuple:
        (item, *_) = typing.get_args(kind)
        # One of each type, because plans may have 100,000 requests.
        return isinstance(value, tuple | list) and all(
            _fits(item, one) for one in {type(one): one for one in value}.values()
        )
    if typing.get_origin(kind) is types.UnionType:
        return any(_fits(one, value) for one in typing.get_args(kind))
    if kind in (int, float):
        return isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    return isinstance(value, kind)


def _word_of(kind: Any) -> str:
    if typing.get_origin(kind) is tuple:
        (item, *_) = typing.get_args(kind)
        return f"a tuple of {item.__name__}"
    if typing.get_origin(kind) is types.UnionType:
        return " or ".join(map(_word_of, typing.get_args(kind)))
    return _WORDS.get(kind) or f"of the type {kind.__name__}"


@functools.cache
def _names_of(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


@functools.cache
def _needed_of(kind: type[Any]) -> tuple[str, ...]:
    """The fields without a default."""
    missing = dataclasses.MISSING
    fields = dataclasses.fields(kind)
    return tuple(one.name for one in fields if one.default is missing and one.default_factory is missing)


@functools.cache
def _types_of(kind: type[Any]) -> Mapping[str, Any]:
    return typing.get_type_hints(kind)


def _value(kind: Any, data: object, where: str) -> Any:
    if kind is int and type(data) is int and -_MOST_INT <= data <= _MOST_INT:
        return data
    if typing.get_origin(kind) is tuple:
        if made(data) and {type(item) for item in data} == {typing.get_args(kind)[0]}:
            return data
        if not isinstance(data, list):
            raise PlanError(f"{where} must be a list, got {as_written(data)}")
        return tuple(_value(typing.get_args(kind)[0], item, f"{where}[{n}]") for n, item in enumerate(data))
    if typing.get_origin(kind) is types.UnionType:  # a value or None, which plain data leaves out
        (kind,) = (one for one in typing.get_args(kind) if one is not type(None))
        return _value(kind, data, where)
    if dataclasses.is_dataclass(kind):
        return from_plain(typing.cast("type[Any]", kind), data, where)
    if issubclass(kind, enum.Enum):
        values = {member.value: member for member in kind}
        if not isinstance(data, str) or data not in values:
            raise PlanError(f"{where} must be {_any_of(values, 'or')}, got {as_written(data)}")
        return values[data]
    if kind in (int, float) and type(data) is int and not -_MOST_INT - 1 <= data <= _MOST_INT:
        raise PlanError(f"{where} must be between -2^63 and 2^63, got {as_written(data)}")
    if kind is float and type(data) is int:  # TOML and JSON may write 1.0 as 1
        return float(data)
    if type(data) is not kind:  # not isinstance: True is an int
        raise PlanError(f"{where} must be {_WORDS[kind]}, got {as_written(data)}")
    return data


def _place(where: str, key: str) -> str:
    key = key if key.isidentifier() else repr(key)  # a key may contain anything, even a line break
    return f"{where}.{key}" if where else key


def _any_of(names: Iterable[str], joint: str) -> str:
    *others, last = names
    return f"{', '.join(others)} {joint} {last}" if others else last
