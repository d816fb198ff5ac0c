"""Where a door listens, and the addresses that may call."""

import errno
import ipaddress
import socket
from collections.abc import Iterable

from medqueue.errors import ConfigurationError

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_BACKLOG = 128
"""Connections that the system holds until we take them; more are dropped and tried again."""


def peer_address(address: str) -> IpAddress:
    """Return the address of a peer; an IPv4 one that came through an IPv6 socket as IPv4."""
    peer = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(peer, ipaddress.IPv6Address) and peer.ipv4_mapped:
        return peer.ipv4_mapped
    return peer


def is_within(address: str, networks: Iterable[IpNetwork]) -> bool:
    """Tell whether a peer calls from one of some networks."""
    peer = peer_address(address)
    return any(peer in network for network in networks)


def listen(host: str, port: int, *, door: str, variable: str) -> socket.socket:
    """Return a socket that listens.

    Raises:
        ConfigurationError: the address or port cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        cure = {
            errno.EADDRINUSE: f"something else listens there; stop it, or set {variable}",
            errno.EACCES: f"ports below 1024 need a privilege; set {variable}",
            errno.EADDRNOTAVAIL: "this machine has no such address; set MEDQUEUE_BIND",
        }.get(error.errno or 0, error.strerror or "unknown reason")
        raise ConfigurationError(f"the {door} cannot listen on {host}:{port}: {cure}") from None
    return listener
