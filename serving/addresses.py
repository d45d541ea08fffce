"""Addresses to listen at: whether they are free, and whether only this machine can reach them."""

import ipaddress
import socket

from features.errors import ConfigError

__all__ = ["check_free", "is_loopback", "names_this_machine"]


def check_free(host: str, port: int, asked_by: str) -> None:
    """Refuse an address that is taken; who listens would say so itself after many seconds.

    Parameters
    ----------
    asked_by : the settings or options that named it, for the error's text.

    Raises
    ------
    ConfigError
        Where nobody can listen there.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As servers do it: an address that was let go a moment ago is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise ConfigError(
            f"{asked_by}: nobody can listen at {host}:{port} ({error.strerror}); stop what does, "
            "or choose another port."
        ) from error


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
