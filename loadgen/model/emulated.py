"""Words for VMs whose CPU is emulated by software: their results are not measurements."""

from __future__ import annotations

EMULATED = "emulated: not a measurement"

EMULATED_VMS = "emulated VMs"
"""The name of the trust check."""
