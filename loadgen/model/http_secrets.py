"""The plan of a `loadgen http` run without its secrets, as records and printed plans show it."""

from __future__ import annotations

import dataclasses
import operator
from base64 import b64decode, b64encode
from collections.abc import Sequence

from loadgen.model.derived import Remembering, once
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.secrets import MASK, mask_body, mask_header, mask_url


def without_secrets(plan: HttpPlan) -> HttpPlan:
    """The plan with masked secrets; the same plan when it holds none."""
    requests, proxy = once(plan.requests, _all_masked), mask_url(plan.proxy)
    if requests is plan.requests and proxy == plan.proxy:
        return plan
    return dataclasses.replace(plan, requests=requests, proxy=proxy)


def _all_masked(requests: tuple[HttpRequest, ...]) -> tuple[HttpRequest, ...]:
    """The requests without secrets; the same tuple when they hold none."""
    masked = Remembering(map(_masked, requests))
    return requests if all(map(operator.is_, masked, requests)) else masked


def _masked(request: HttpRequest) -> HttpRequest:
    url = mask_url(request.url)
    if url == request.url and not (request.headers or request.body or request.body_base64):
        return request
    body = mask_body(request.body)
    headers = tuple(mask_header(line) for line in request.headers)
    binary = _masked_binary(request.body_base64)
    if (url, headers, body, binary) == (request.url, request.headers, request.body, request.body_base64):
        return request
    return dataclasses.replace(request, url=url, headers=headers, body=body, body_base64=binary)


def _masked_binary(coded: str) -> str:
    """A body in base64 with masked fields; its other bytes stay."""
    text = _bytes_as_text(coded)
    masked = mask_body(text)
    return coded if masked == text else b64encode(masked.encode("latin-1")).decode()


def _bytes_as_text(coded: str) -> str:
    """The bytes of a body in base64, each as one character."""
    return b64decode(coded).decode("latin-1")


def hidden(plan: HttpPlan) -> tuple[str, ...]:
    """What is masked in the plan, each once: names of headers like `-H 'Authorization: …'`, `URL` and `--body`.

    These are the parts of the command line that must be given again before the plan can be played.
    """
    found: dict[str, None] = {}
    for request in plan.requests:
        if request.headers:
            found |= {f"-H '{_name(line)}: …'": None for line in request.headers if is_hidden(line)}
        if MASK in request.url and mask_url(_filled(request.url)) == request.url:
            found["the URL"] = None
        if not (request.body or request.body_base64):
            continue
        bodies = (request.body, _bytes_as_text(request.body_base64))
        if any(MASK in body and mask_body(_filled(body)) == body for body in bodies):
            found["--body"] = None
    if MASK in plan.proxy and mask_url(_filled(plan.proxy)) == plan.proxy:
        found["--proxy"] = None
    return tuple(found)


def is_hidden(line: str) -> bool:
    """Whether the value of a header line is masked."""
    return mask_header(line) == line and line.partition(":")[2].strip() == MASK


def filled(headers: Sequence[str], given: Sequence[str]) -> tuple[str, ...]:
    """The headers of a request after the headers `given` on the command line.

    Usually these replace all.  When some are masked, they only replace those of the same name, and add the others:
    otherwise a user who gives a secret again would lose the headers that need not be given.
    """
    if not any(is_hidden(line) for line in headers):
        return tuple(given)
    names = {_name(line).lower() for line in given}
    return (*(line for line in headers if _name(line).lower() not in names), *given)


def _name(line: str) -> str:
    return line.partition(":")[0]


def _filled(text: str) -> str:
    """The text with a value in the place of each mask."""
    return text.replace(MASK, "x")
