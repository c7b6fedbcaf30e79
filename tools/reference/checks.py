"""The page of the trust checks: the question, the value and the limit of each, from the catalog and the rules."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from types import ModuleType
from typing import Any

from loadgen.model.units import NS_PER_MS
from loadgen.verdict.checks.catalog import FORWARD_CHECKS, IPERF_CHECKS, TAPE_CHECKS
from loadgen.verdict.network_rules import NetworkRules
from loadgen.verdict.rules import Rules
from tools.reference.text import note, plain

_HEAD = f"""\
# Trust checks

A trust check decides whether the numbers of the load generator can be believed. When one fails, the verdict is INVALID.
[The method](../method.md#trust-was-the-load-generator-good-enough) explains the values and limits with examples;
[troubleshooting](../troubleshooting.md#the-verdict-is-invalid) says what to do. A report shows the checks:

```sh
loadgen show runs/2026-02-03T04-05-06-spec
```

{note("the catalog of checks in `loadgen/verdict/checks` and the rules in `loadgen/verdict`")}
"""

_GROUPS: Sequence[tuple[str, Sequence[Callable[[Any], Any]], type]] = (
    ("loadgen spec and loadgen http", TAPE_CHECKS, Rules),
    ("loadgen iperf", IPERF_CHECKS, NetworkRules),
    ("loadgen forward", FORWARD_CHECKS, NetworkRules),
)


def page() -> str:
    """The text of the page."""
    parts = [_HEAD]
    for title, checks, rules in _GROUPS:
        parts.append(f"## Checks of {title}\n\nIn the order of the report.\n")
        parts += [_section(check, rules) for check in checks]
    for title, rules in (("spec and http", Rules), ("iperf and forward", NetworkRules)):
        parts.append(f"## Limits of {title}, and where they come from\n\n{_limits(rules)}")
    return "\n".join(parts)


def _section(check: Callable[[Any], Any], rules: type) -> str:
    module = inspect.getmodule(check)
    assert module is not None
    names = ", ".join(dict.fromkeys(names_of(module)))
    question, about = plain(inspect.getdoc(module) or ""), plain(inspect.getdoc(check) or "")
    lines = [f"### {names}\n", f"*{question.splitlines()[0]}*\n", f"{about}\n"]
    known = {one.name for one in fields(rules)}
    used = [name for name in dict.fromkeys(re.findall(r"\brules\.(\w+)", inspect.getsource(module))) if name in known]
    if used:
        lines.append(f"Rules: {', '.join(_valued(rules, name) for name in used)}.\n")
    return "\n".join(lines)


def _limits(rules: type) -> str:
    """The docstring of the rules, with the value of each one."""
    text = plain(inspect.getdoc(rules) or "").partition("\n\n")[2]

    def valued(found: re.Match[str]) -> str:
        return "* " + ", ".join(_valued(rules, name) for name in re.findall(r"`(\w+)`", found[0])) + ": "

    return re.sub(r"^\* (?:`\w+`(?:, )?)+: ", valued, text, flags=re.MULTILINE) + "\n"


def _valued(rules: type, name: str) -> str:
    """A rule with its value, in the unit in which people read it."""
    value = getattr(rules(), name)
    if isinstance(value, Mapping):
        text = ", ".join(f"{getattr(key, 'value', key)}: {one:,}" for key, one in value.items())
    elif name.endswith("_ns"):
        text = f"{value / NS_PER_MS:,g} ms"
    elif name.endswith("_share"):
        text = f"{100 * value:g} %"
    else:
        text = f"{value:,}"
    return f"`{name}` = {text}"


def names_of(module: ModuleType) -> Iterator[str]:
    """The names of the checks that a module makes, as far as its text has them."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        given = {word.arg: word.value for word in node.keywords}
        if called == "check_mix" and "what" in given:
            yield _text(given["what"], module)
        elif called == "Check" or called.startswith("Check."):
            yield _text(given["name"] if "name" in given else node.args[0], module)


def _text(node: ast.expr, module: ModuleType) -> str:
    if isinstance(node, ast.Name):
        return str(getattr(module, node.id, ""))
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant)).strip()
    return str(node.value) if isinstance(node, ast.Constant) else ""
