"""What we want of Dask, whatever the user's ~/.config/dask and DASK_* say."""

from __future__ import annotations

import warnings

import dask
import distributed  # noqa: F401  # its import brings the defaults, which must be there before they are overruled

EVENTS_KEPT = 10
"""How many payloads of `log_event` each end keeps in memory."""

_SETTINGS: dict[str, object] = {
    # No HTTP server can be had, so it is one on loopback without pages.
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
    "distributed.admin.tick.interval": "1s",  # of 20 ms costs an idle agent a percent of a core
    "distributed.comm.compression": False,
    "distributed.comm.default-scheme": "tcp",
    "distributed.comm.retry.count": 0,
    "distributed.comm.socket-backlog": 2048,
    "distributed.comm.timeouts.connect": "10s",
    "distributed.comm.timeouts.tcp": "12s",
    "distributed.diagnostics.cudf": False,
    "distributed.diagnostics.nvml": False,
    # Nothing of the user's runs in our processes.
    "distributed.client.preload": [],
    "distributed.scheduler.preload": [],
    "distributed.worker.preload": [],
    "distributed.scheduler.blocked-handlers": [],
    "distributed.worker.blocked-handlers": [],
    # No tasks: so nothing is stolen, moved, profiled, or ended for want of them.
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.contact-address": None,
    "distributed.scheduler.idle-timeout": None,
    "distributed.scheduler.reuse-broadcast-comm": True,  # otherwise every command makes a connection, and shakes hands
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.worker-ttl": "5 minutes",  # cannot go below 5 s; silence is ours to notice
    "distributed.worker.lifetime.duration": None,
    "distributed.worker.lifetime.restart": False,
    "distributed.worker.profile.enabled": False,
    "distributed.worker.resources": {},
    "distributed.worker.use-file-locking": True,  # what a killed worker leaves behind is removed by the next
    "temporary-directory": None,
}


def configure() -> None:
    """Set every key that we depend on, for this process.  Not those of TLS: we pass these, or they are the user's."""
    dask.config.set(_SETTINGS)
    # Without a default route it cannot guess our address, and says so.  We never let it guess.
    warnings.filterwarnings("ignore", "Couldn't detect a suitable IP address", RuntimeWarning)
