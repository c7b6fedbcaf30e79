"""The addresses of VMs: one address for all, or a network in which each has its own."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from loadgen.model.errors import PlanError


def is_network(text: str) -> bool:
    """Whether the address of a plan is a network, such as 198.18.0.0/15."""
    return "/" in text


_KEPT = 3  # the network's own address, the host's, and the last one


def room_in(network: str) -> int:
    """The number of VMs that a network such as 198.18.0.0/15 has addresses for."""
    return max(0, ipaddress.ip_network(network).num_addresses - _KEPT)


@lru_cache(maxsize=8)
def vm_addresses(text: str, count: int) -> tuple[str, ...]:
    """The address of each VM: `text`, or the addresses of the network `text` from its third on.

    The second address of a network, such as 198.18.0.1, is the host's.  Raises PlanError for a text that is neither an
    address nor a network, and for a network that is too small.
    """
    if not is_network(text):
        try:
            ipaddress.ip_address(text)
        except ValueError:
            raise PlanError(
                f"{text!r} is not an IP address", hint="give an address of this machine with --vm-address"
            ) from None
        return (text,) * count
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise PlanError(f"{text!r} is not a network: {error}", hint="write it like 198.18.0.0/15") from None
    if room_in(text) < count:
        raise PlanError(
            f"the network {text} has {network.num_addresses} addresses, but {count} VMs need {count + _KEPT}",
            hint="give a larger one with --vm-address, such as 198.18.0.0/15",
        )
    return tuple(str(network[2 + index]) for index in range(count))
