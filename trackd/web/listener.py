"""The listening socket, and how many connections there is room for."""

import os
import socket


def listen(host: str, port: int, backlog: int) -> socket.socket:
    """A listening socket. No name is looked up for an address, and none for what it is bound to."""
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # "localhost" can be both: most clients try 127.0.0.1, few only ::1.
    family, kind, protocol, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            # On Windows it would let another program take the port.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and address[0] == "::":
            # Every address means every address.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
        listener.listen(backlog)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def room(spare: int) -> int:
    """How many connections the limit on open files leaves, after it was raised as far as it goes."""
    try:
        import resource
    except ImportError:
        # Windows: select takes 512 sockets.
        return 500
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS says "infinity" and takes 10240.
    for wanted in (hard, 10240):
        if soft != resource.RLIM_INFINITY and (wanted == resource.RLIM_INFINITY or wanted > soft):
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            except (ValueError, OSError):
                continue
            soft = wanted
    if soft == resource.RLIM_INFINITY:
        return 1_000_000
    return max(soft - spare, soft // 2)
