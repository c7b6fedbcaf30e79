"""The application of a warden, imported only where there is one: aiohttp alone takes 15 MB and a third of a second."""

from __future__ import annotations

import pkgutil
from typing import TYPE_CHECKING, Any

from deploy.wire import AppWorker

if TYPE_CHECKING:
    from deploy.worker import MakeApp


def load_application(name: str) -> MakeApp | None:
    """The application `module:function`, with all that its workers need, so that they share its pages; None for ""."""
    if not name:
        return None
    import deploy.worker  # noqa: F401 - before the first fork

    found: Any = pkgutil.resolve_name(name)
    make_app: MakeApp = found
    return make_app


def run_worker(worker: AppWorker, make_app: MakeApp) -> None:
    """Serve the application as `worker` says until SIGTERM."""
    from deploy.worker import run_worker as run

    run(worker, make_app)
