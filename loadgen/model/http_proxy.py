"""What the HTTP proxy of a plan may be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from loadgen.model.errors import PlanError
from loadgen.model.secrets import mask_url
from loadgen.model.target import Target
from loadgen.model.url import Url


def check_proxy(text: str, targets: Iterable[Target], others: Mapping[str, object]) -> None:
    """Raise PlanError for a proxy that cannot be used; `others`: options that go with none, if they are set."""
    proxy = Url.parse(text)
    if proxy.user:
        raise PlanError(
            f"--proxy: {mask_url(text)!r} has a user name",
            hint="use a header instead: -H 'Proxy-Authorization: Basic …'",
        )
    if proxy.tls or proxy.path != "/":
        raise PlanError(f"--proxy: {text!r} is not a proxy", hint="write it like http://192.0.2.8:3128")
    if any(target.tls for target in targets):
        raise PlanError("--proxy cannot be used for https URLs", hint="use http URLs, or omit --proxy")
    for option, given in others.items():
        if given:
            raise PlanError(f"--proxy cannot be combined with {option}", hint="omit one of them")
