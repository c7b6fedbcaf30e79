"""The interval that stands for a time in the documents of tape runs."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from loadgen.verdict.span import Span

Interval = Annotated[
    Span | float | None,
    Meta(
        description="The value lies between low and high; high is null when failed and cut requests leave it without "
        "an upper bound. Null without requests. A number in records of version 0.1.0, which counted only requests that "
        "ended well."
    ),
]
