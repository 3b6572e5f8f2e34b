"""Sockets that the pages and servers of this package listen on."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterable

from gan_style.core.errors import UserError

LOOPBACK = ("127.0.0.1", "localhost")
MAX_WAITING = 1024  # connections that the system keeps until they are accepted; it may take fewer


def listening(host: str, ports: Iterable[int], what: str) -> socket.socket:
    """Open a socket on the first of these ports that is free.

    Args:
        host: a name or an address of this machine.
        ports: tried in this order.
        what: listens, for the sentence about a port that is taken, such as "the studio".

    Raises:
        UserError: none is free, or there is no such host.
    """
    tried = list(ports)
    reason: Exception | None = None
    for number in tried:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # asyncio sets TCP_NODELAY only if the protocol is named; else each event of a page takes 40 ms more
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, number))
            listener.listen(MAX_WAITING)  # from now on no other process can take the port
            return listener
        except (OSError, UnicodeError) as error:
            listener.close()
            reason = error
            if getattr(error, "errno", None) != errno.EADDRINUSE:
                break
    which = f"port {tried[0]}" if len(tried) == 1 else f"any port from {tried[0]} to {tried[-1]}"
    raise UserError(f"{what} cannot listen on {which} of {host} ({reason}): give another --port or --host")


def bracketed(host: str) -> str:
    """Write a host as in addresses and Host headers."""
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Check whether only this machine can reach a host's ports."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def address(host: str, port: int) -> str:
    """Return what a browser of this machine opens."""
    return f"http://{bracketed('localhost' if host in ('0.0.0.0', '::') else host)}:{port}"
