"""The application worker of a guest, which has no warden: `python -m deploy.guest.app MODULE:FUNCTION WORKER`."""

from __future__ import annotations

import json
import pkgutil
import sys

from deploy.wire import AppWorker
from deploy.worker import run_worker


def main() -> None:
    """Serve the application until the guest ends; WORKER is an :class:`deploy.wire.AppWorker` as JSON."""
    app, worker = sys.argv[1:]
    run_worker(AppWorker(**json.loads(worker)), pkgutil.resolve_name(app))


if __name__ == "__main__":
    main()
