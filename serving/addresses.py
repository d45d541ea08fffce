"""Addresses that only this machine can reach."""

import ipaddress
import socket

__all__ = ["is_loopback", "names_this_machine"]


def is_loopback(host: str) -> bool:
    """Say whether who listens at a host is reached from this machine alone."""
    try:
        found = socket.getaddrinfo(host or "0.0.0.0", None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return all(_is_loopback_number(str(address[0])) for *_, address in found)


def names_this_machine(host: str) -> bool:
    """Say whether a host's name or number means this machine, without asking anybody."""
    return host == "localhost" or _is_loopback_number(host.strip("[]"))


def _is_loopback_number(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_loopback
    except ValueError:
        return False
