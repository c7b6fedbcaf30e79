"""Connections to other servers than those of the URLs, as curl's --connect-to: HOST1:PORT1:HOST2:PORT2."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from loadgen.model.address import MOST_PORT, port_number
from loadgen.model.errors import PlanError
from loadgen.model.target import Target

_HOST = r"(\[[^\]]*\]|[^:\[\]]*)"
_RULE = re.compile(rf"{_HOST}:([0-9]*):{_HOST}:([0-9]*)")


@dataclass(frozen=True, slots=True)
class ConnectTo:
    """Connections for `host` and `port` go to `to_host` and `to_port`; "" and 0 stand for any, and for the same."""

    host: str
    port: int
    to_host: str
    to_port: int

    @classmethod
    def parse(cls, text: str) -> ConnectTo:
        """The rule of a text like `shop.example:443:127.0.0.1:8443`.  Raises PlanError, in one line."""
        match = _RULE.fullmatch(text.strip())
        if match is None or not (match[3] or match[4]):
            raise PlanError(
                f"--connect-to: {text!r} is not HOST1:PORT1:HOST2:PORT2",
                hint="write it like shop.example:443:127.0.0.1:8443; leave HOST1 or PORT1 empty for any",
            )
        host, to_host = (part.strip("[]").lower() for part in match.group(1, 3))
        rule = cls(host, port_number(match[2] or "0"), to_host, port_number(match[4] or "0"))
        if max(rule.port, rule.to_port) > MOST_PORT:
            raise PlanError(f"--connect-to: a port of {text!r} is not in 1..65535")
        rule.dialed(Target(name=text, host=host or "any", port=rule.port or 1))  # a host that is none is refused
        return rule

    def fits(self, target: Target) -> bool:
        """Whether the rule is about connections to `target`."""
        return (not self.host or self.host == target.host.lower()) and (not self.port or self.port == target.port)

    def dialed(self, target: Target) -> Target:
        """`target` with the host and the port that connections go to."""
        return replace(target, host=self.to_host or target.host, port=self.to_port or target.port)


def dialed(target: Target, rules: tuple[ConnectTo, ...]) -> Target:
    """`target` with the host and the port of the first rule that fits; unchanged without one."""
    return next((rule.dialed(target) for rule in rules if rule.fits(target)), target)
