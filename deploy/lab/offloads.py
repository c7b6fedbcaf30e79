"""Large segments on a virtual NIC: sent whole, and not put together again by the receiver."""

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
    """TSO and GSO on, GRO off: a virtual NIC's usual defaults, made sure of.  Raises OSError.

    The NIC is looked for in the namespace of the calling thread.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        for command, on in ((_ETHTOOL_STSO, 1), (_ETHTOOL_SGSO, 1), (_ETHTOOL_SGRO, 0)):
            value = ctypes.create_string_buffer(_VALUE.pack(command, on), _VALUE.size)
            fcntl.ioctl(handle, _SIOCETHTOOL, _IFREQ.pack(nic.encode(), ctypes.addressof(value)))
