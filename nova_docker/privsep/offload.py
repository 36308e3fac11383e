#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.

"""Checksum offload of an interface, in the namespace that it is in."""

import array
import fcntl
import socket
import struct

# linux/sockios.h and linux/ethtool.h
_SIOCETHTOOL = 0x8946
_ETHTOOL_STXCSUM = 0x17


def set_transmit(name: str, enabled: bool) -> None:
    """Say whether the interface may leave checksums to what comes after it.

    Segmentation offload builds on that, and goes and comes with it.
    """
    # struct ethtool_value, and the part of struct ifreq that leads to it.
    value = array.array('I', (_ETHTOOL_STXCSUM, enabled))
    request = struct.pack('16sP', name.encode(), value.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCETHTOOL, request)
