"""Offload settings of a virtual NIC: large segments are sent whole, and the receiver does not merge segments."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct

_SIOCETHTOOL = 0x8946  # linux/sockios.h
_ETHTOOL_STSO, _ETHTOOL_SGSO, _ETHTOOL_SGRO = 0x1F, 0x24, 0x2C  # linux/ethtool.h
_IFREQ = struct.Struct("16sP")  # struct ifreq: a name, and a pointer to the command
_VALUE = struct.Struct("II")  # struct ethtool_value: a command, and on or off


def settle(nic: str) -> None:
    """Switch TSO and GSO on and GRO off, as is usual for virtual NICs.  Raises OSError.

    The NIC is in the namespace of the calling thread.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        for command, on in ((_ETHTOOL_STSO, 1), (_ETHTOOL_SGSO, 1), (_ETHTOOL_SGRO, 0)):
            value = ctypes.create_string_buffer(_VALUE.pack(command, on), _VALUE.size)
            fcntl.ioctl(handle, _SIOCETHTOOL, _IFREQ.pack(nic.encode(), ctypes.addressof(value)))
