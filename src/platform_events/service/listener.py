"""The sockets at which servers listen."""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import TYPE_CHECKING

from platform_events.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Container

LOOPBACK = "127.0.0.1"
_LAST_PORT = 65_535
_ATTEMPTS = 100
"""Ports that are tried where any will do."""


def listen(
    port: int,
    host: str = LOOPBACK,
    *,
    exactly: bool,
    setting: str = "--http-plain-port",
    brokers: Container[int] = (),
) -> socket.socket:
    """Return a socket that listens, so that nobody else gets its port.

    Connections wait until a server takes them.

    Args:
        port: where to listen; 0 is any that is free.
        host: a name or address of this machine.
        exactly: whether no other port will do; else it may be one of the next 99.
        setting: the option or variable that says where; `{}` in it stands for HOST or PORT.
        brokers: ports that Kafka gets later.

    Raises:
        ServiceError: the port cannot be used, or none of those that were tried.
    """
    family, address = _resolve(host, setting)
    last = port if exactly else min(port + _ATTEMPTS - 1, _LAST_PORT)
    reason = ""
    for candidate in range(port, last + 1):
        if candidate in brokers:
            reason = "a broker gets it"
            continue
        try:
            return socket.create_server((address, candidate), family=family)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
    tried = f"port {port}" if port == last else f"each of the ports {port} to {last}"
    raise ServiceError(
        f"{tried} on {host} cannot be used ({reason}): stop the program that has it, or choose "
        f"another with {setting.format('PORT')}"
    )


def is_loopback(host: str, setting: str) -> bool:
    """Whether only programs of this machine reach what listens at a host.

    Args:
        host: a name or address of this machine.
        setting: the option or variable that says it.

    Raises:
        ServiceError: it is none.
    """
    _, address = _resolve(host, setting)
    # The zone of a link-local address is no part of it.
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def address_of(listener: socket.socket) -> str:
    """Return where a socket listens, as `host:port`."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _resolve(host: str, setting: str) -> tuple[socket.AddressFamily, str]:
    """Return the kind of address and the address of a host of this machine."""
    bare = host.removeprefix("[").removesuffix("]")
    try:
        (family, *_, address), *_ = socket.getaddrinfo(bare, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ServiceError(
            f"{host} is no address of this machine ({error}): choose another with "
            f"{setting.format('HOST')}"
        ) from None
    return family, str(address[0])
