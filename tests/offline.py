"""No test leaves the machine: a connection or a look-up of a name that would is refused, and fails the test.

Python tells its audit hooks of every socket call of this process, in any thread and whatever library makes it. What
a child process does is not seen here: `unshare -rn` around the tests takes the network from those, too.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest

# Audit events, and which of their arguments is the host, or an address that begins with it.
LOOK_UPS = {"socket.getaddrinfo": 0, "socket.gethostbyname": 0, "socket.gethostbyaddr": 0}
ADDRESSES = {"socket.connect": 1, "socket.sendto": 1, "socket.sendmsg": 1, "socket.getnameinfo": 0}
NAMES = ("localhost", socket.gethostname())
_refused: list[str] = []
_allowed: list[bool] = []  # filled while a test marked `network` runs


def is_local(host: Any) -> bool:
    """Whether a host is this machine; None, "" and the addresses that mean "any" are."""
    host = host.decode() if isinstance(host, bytes) else host
    if not host or host in NAMES:
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in LOOK_UPS | ADDRESSES or _allowed:
        return
    target = arguments[(LOOK_UPS | ADDRESSES)[event]]
    if event in ADDRESSES:
        # Else the path of a unix socket, or none where the socket is connected.
        target = target[0] if isinstance(target, tuple) else None
    if not is_local(target):
        _refused.append(f"{event} {target}")
        raise ConnectionRefusedError(f"tests are offline: {_refused[-1]}")


sys.addaudithook(_hook)


@pytest.fixture(autouse=True)
def refused(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """What the test tried to reach. A test fails of it even where the code under test took the error for no network."""
    network = request.node.get_closest_marker("network") is not None
    _allowed.extend([True] * network)
    _refused.clear()
    yield _refused
    _allowed.clear()
    if _refused:
        pytest.fail(f"tried to leave this machine: {', '.join(_refused)}", pytrace=False)
