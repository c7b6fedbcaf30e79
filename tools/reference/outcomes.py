"""The page of verdicts, exit codes and outcomes, from their enumerations."""

from __future__ import annotations

import enum
import inspect
import re

from loadgen.model.errors import ExitCode
from loadgen.model.outcome import Outcome
from loadgen.verdict.result import Verdict
from tools.reference.text import note, table

_HEAD = f"""\
# Verdicts, exit codes and outcomes

[Reading results](../reading-results.md) explains them with examples. A script can rely on the exit code:

```sh
loadgen http http://192.0.2.7/ --slo 'p99<50ms' || echo "exit code $?"
```

{note("the enumerations in `loadgen/model` and `loadgen/verdict`")}
"""


def page() -> str:
    """The text of the page.  Raises ValueError when a member has no comment that explains it."""
    verdicts = comments(Verdict)
    codes = comments(ExitCode)
    outcomes = comments(Outcome)
    return "\n".join(
        [
            _HEAD,
            "## Verdicts\n",
            "INVALID outranks DEGRADED, and DEGRADED outranks every score.\n",
            table(
                ("verdict", "in run.json", "exit code", "meaning"),
                [
                    (one.name.replace("_", " "), f"`{one.value}`", str(int(one.exit_code)), verdicts[one.name])
                    for one in Verdict
                ],
            ),
            "## Exit codes\n",
            table(("exit code", "name", "meaning"), [(str(int(one)), one.name, codes[one.name]) for one in ExitCode]),
            "## Outcomes of an operation\n",
            "Every operation that was due has exactly one outcome. All but OK and CUT are errors.\n",
            table(
                ("outcome", "number", "error", "meaning"),
                [(one.name, str(int(one)), "yes" if one.is_error else "no", outcomes[one.name]) for one in Outcome],
            ),
        ]
    )


def comments(of: type[enum.Enum]) -> dict[str, str]:
    """The comment behind each member, as a sentence."""
    found = dict(re.findall(r"^    ([A-Z_]+) = .+?  # (.+)$", inspect.getsource(of), re.MULTILINE))
    missing = [one.name for one in of if one.name not in found]
    if missing:
        raise ValueError(f"write a comment behind each member of {of.__name__}; missing: {', '.join(missing)}")
    return {name: f"{text[0].upper()}{text[1:]}." for name, text in found.items()}
