"""The settings of Dask for our processes, whatever the user's ~/.config/dask and DASK_* variables say."""

from __future__ import annotations

import warnings

import dask
import distributed  # noqa: F401  # this sets the defaults, which are overridden below

EVENTS_KEPT = 10
"""How many messages of `log_event` each end keeps in memory."""

_SETTINGS: dict[str, object] = {
    # The HTTP server cannot be switched off, so it listens on loopback and has no pages.
    "distributed.http.routes": [],
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.admin.low-level-log-length": EVENTS_KEPT,
    "distributed.admin.event-loop": "uvloop",
    "distributed.admin.pdb-on-err": False,
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.admin.system-monitor.disk": False,
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.system-monitor.log-length": 60,
    "distributed.admin.tick.interval": "1s",  # the default of 20 ms costs an idle agent 1 % of a core
    "distributed.comm.compression": False,
    "distributed.comm.default-scheme": "tcp",
    "distributed.comm.retry.count": 0,
    "distributed.comm.socket-backlog": 2048,
    "distributed.comm.timeouts.connect": "10s",
    "distributed.comm.timeouts.tcp": "12s",
    "distributed.diagnostics.cudf": False,
    "distributed.diagnostics.nvml": False,
    # No code of the user runs in our processes.
    "distributed.client.preload": [],
    "distributed.scheduler.preload": [],
    "distributed.worker.preload": [],
    "distributed.scheduler.blocked-handlers": [],
    "distributed.worker.blocked-handlers": [],
    # There are no tasks, so nothing is stolen, moved or profiled, and nothing ends because it is idle.
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.contact-address": None,
    "distributed.scheduler.idle-timeout": None,
    "distributed.scheduler.reuse-broadcast-comm": True,  # otherwise each command makes a TLS handshake
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.worker-ttl": "5 minutes",  # 5 s is the minimum; we detect silence ourselves
    "distributed.worker.lifetime.duration": None,
    "distributed.worker.lifetime.restart": False,
    "distributed.worker.profile.enabled": False,
    "distributed.worker.resources": {},
    "distributed.worker.use-file-locking": True,  # removes files that a killed worker left behind
    "temporary-directory": None,
}


def configure() -> None:
    """Set every key that we depend on, in this process.  TLS is not among them: see `security`."""
    dask.config.set(_SETTINGS)
    # Dask warns that it cannot guess our address if there is no default route.  We never let it guess.
    warnings.filterwarnings("ignore", "Couldn't detect a suitable IP address", RuntimeWarning)
    warnings.filterwarnings("ignore", "get_ipv6 is deprecated", FutureWarning)  # Dask itself calls it
