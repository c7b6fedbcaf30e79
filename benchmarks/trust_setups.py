"""All set-ups of the trust benchmark, in the order of its table."""

from __future__ import annotations

from benchmarks.trust_playing import Setup
from benchmarks.trust_setups_http import HTTP
from benchmarks.trust_setups_network import NETWORK
from benchmarks.trust_setups_spec import SPEC

SETUPS: tuple[Setup, ...] = (*HTTP, *SPEC, *NETWORK)
