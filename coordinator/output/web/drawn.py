"""Reports as HTML (coordinator.output.html), as pages that may run their own scripts and do nothing else."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from coordinator.output.html.report import report_text
from coordinator.output.judged import Judged
from loadgen.verdict.compare_result import Comparison

_POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)">')
_ALONE = "sandbox allow-scripts allow-popups; frame-ancestors 'none'"
"""The page is of an origin of its own, so that not even a fault in it reads other pages.  Links open new pages."""


def drawn(runs: Sequence[Judged[Any, Any]], comparison: Comparison | None = None) -> web.Response:
    """The report on these runs.  The policy that it has for a file is also that of the reply.

    Raises LoadgenError when a record cannot be read.
    """
    text = report_text(runs, comparison)
    found = _POLICY.search(text)
    policy = html.unescape(found[1]) if found else "default-src 'none'"
    return web.Response(
        body=text.encode("utf-8", "replace"),
        headers={"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": f"{policy}; {_ALONE}"},
    )
