"""The addresses of VMs: one address for all, or a network in which each has its own."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from loadgen.model.errors import PlanError


def is_network(text: str) -> bool:
    """Whether the address of a plan is a network, such as 198.18.0.0/15."""
    return "/" in text


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
    if network.num_addresses < count + 3:
        raise PlanError(
            f"the network {text} has {network.num_addresses} addresses, but {count} VMs need {count + 3}",
            hint="give a larger one with --vm-address, such as 198.18.0.0/15",
        )
    return tuple(str(network[2 + index]) for index in range(count))
