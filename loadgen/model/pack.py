"""The plan of a `loadgen pack` run: how many VMs are started, with which server, and where packing stops."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

from loadgen.model.errors import PlanError, TargetError
from loadgen.model.limits import NO_LIMITS, VmLimits
from loadgen.model.plain import from_plain, to_plain
from loadgen.model.plan import Server
from loadgen.model.units import NS_PER_S, format_duration, format_size, parse_size_bytes

MAX_PORT = 65535
PART_ADDRESSES = 512
"""Addresses of a network for the VMs that start together: more than there are of these, and the gateway's."""

MIN_KEPT_BYTES = 64 << 20
"""The least memory and disk that can be kept free: with less, the machine itself is in danger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackPlan:
    """A `loadgen pack` run: VMs are started until `count` run, or until something stops it.

    A `count` of 0 means: as many as fit.  `connections` is the number of connections that each server can serve at
    once; the paper's Apache had up to 8 processes.  `vm_address` may be a network in which each VM has an address of
    its own, if the driver can give them; each step gets a part of it.  `reserve_memory_bytes` and `reserve_disk_bytes`
    are guaranteed to each VM: no more VMs are admitted than fit by the sum of their reservations; 0 means overbooked.
    `vm_limits` are the most that each VM may use.  `keep_memory_bytes` and `keep_disk_bytes` are never given to VMs.
    `answer_ns` is the time in which all VMs must answer the final sweep.
    """

    count: int = 0
    vm_driver: str = ""
    server: Server = Server.APACHE
    connections: int = 8
    vm_address: str = "127.0.0.1"
    base_port: int = 0
    reserve_memory_bytes: int = 0
    reserve_disk_bytes: int = 0
    keep_memory_bytes: int = 1 << 30
    keep_disk_bytes: int = 1 << 30
    answer_ns: int = 10 * NS_PER_S
    vm_limits: VmLimits = NO_LIMITS

    def __post_init__(self) -> None:
        if self.count < 0:
            raise PlanError(f"count must not be negative, got {self.count}", hint="0 means: as many as fit")
        if self.connections < 1:
            raise PlanError(f"connections must be at least 1, got {self.connections}")
        if self.reserve_memory_bytes < 0 or self.reserve_disk_bytes < 0:
            raise PlanError(
                "reservations must be at least 0 bytes, "
                f"got {self.reserve_memory_bytes} of memory and {self.reserve_disk_bytes} of disk"
            )
        for name in ("keep_memory_bytes", "keep_disk_bytes"):
            if getattr(self, name) < MIN_KEPT_BYTES:
                raise PlanError(
                    f"{name} must be at least {format_size(MIN_KEPT_BYTES)}, got {format_size(getattr(self, name))}",
                    hint="keep at least so much: the machine itself needs it",
                )
        if self.answer_ns <= 0:
            raise PlanError(f"the time to answer must be more than 0s, got {format_duration(self.answer_ns)}")
        if self.vm_limits.memory_bytes is not None and self.vm_limits.memory_bytes < self.reserve_memory_bytes:
            raise PlanError(
                f"each VM may use {format_size(self.vm_limits.memory_bytes)} of memory, which is less than the "
                f"{format_size(self.reserve_memory_bytes)} that are reserved for it",
                hint="raise --vm-memory, or lower --reserve",
            )
        _check_address(self)

    @property
    def is_network(self) -> bool:
        """Whether each VM has an address of its own."""
        return "/" in self.vm_address

    def part(self, number: int) -> str:
        """The address of the step `number`, from 0: a part of the network, or the one address of all VMs.

        Raises TargetError when the network has no more parts.
        """
        if not self.is_network:
            return self.vm_address
        network = ipaddress.ip_network(self.vm_address)
        first = int(network.network_address) + number * PART_ADDRESSES
        if first - int(network.network_address) >= network.num_addresses:
            raise TargetError(
                f"addresses: the network {network} has only {number} parts of {PART_ADDRESSES}",
                hint="give a larger network with --vm-address",
            )
        address = type(network.network_address)(first)
        return f"{address}/{network.max_prefixlen - PART_ADDRESSES.bit_length() + 1}"

    @property
    def guaranteed(self) -> bool:
        """Whether VMs are admitted by their reservations."""
        return self.reserve_memory_bytes > 0 or self.reserve_disk_bytes > 0

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain data (for JSON and TOML); :meth:`from_dict` reads it back to an equal plan."""
        plain: dict[str, Any] = to_plain(self)
        plain["vm_limits"] = {name: value for name, value in plain["vm_limits"].items() if value is not None}
        if not self.vm_limits.given:
            del plain["vm_limits"]
        return plain

    @classmethod
    def from_dict(cls, data: object) -> PackPlan:
        """The plan that plain data describes.  Raises PlanError that names the field that is wrong."""
        return from_plain(cls, data)


def parse_reservation(text: str) -> tuple[int, int]:
    """Memory and disk in bytes of a text like `100M:1G`, or `100M` for memory only.  Raises PlanError."""
    memory, colon, disk = text.partition(":")
    if colon and not disk:
        raise PlanError(f"{text!r} is not a reservation", hint="write memory and disk like 100M:1G, or memory: 100M")
    found = parse_size_bytes(memory), parse_size_bytes(disk) if disk else 0
    if not found[0] or (disk and not found[1]):
        raise PlanError(f"{text!r} is not a reservation: a size is 0", hint="leave out --reserve to overbook")
    return found


def _check_address(plan: PackPlan) -> None:
    try:
        ipaddress.ip_network(plan.vm_address)
    except ValueError as error:
        raise PlanError(
            f"vm_address must be an IP address or a network: {error}", hint="write it like 192.0.2.7 or 198.18.0.0/15"
        ) from None
    if plan.is_network and ipaddress.ip_network(plan.vm_address).num_addresses < PART_ADDRESSES:
        raise PlanError(
            f"the network {plan.vm_address} is too small", hint=f"give one of at least {PART_ADDRESSES} addresses"
        )
    if not 0 <= plan.base_port <= MAX_PORT:
        raise PlanError(f"base_port must be 0 to {MAX_PORT}, got {plan.base_port}")
    if not plan.is_network and plan.base_port and plan.base_port + max(1, plan.count) - 1 > MAX_PORT:
        raise PlanError(
            f"{plan.count} VMs from port {plan.base_port} on need ports beyond {MAX_PORT}",
            hint="choose a lower base port, or 0 for any free ports",
        )
