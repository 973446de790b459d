"""Every number of the web server: what it costs and why it is that size."""

from typing import NamedTuple

from trackd.errors import BadRequest


class Limits(NamedTuple):
    """Sizes in bytes, times in seconds, the rest are counts."""

    # Request line. Long filters travel in GET queries; proxies and browsers stop at about 8 KB too. Above: 414.
    target: int = 8 * 1024
    # Request line and header fields together; a connection that has not sent all of them holds this at most.
    # Kerberos tickets and cookies of single sign-on reach tens of KB. Above: 431.
    head: int = 64 * 1024
    # Fields cost a dict entry each; browsers behind proxies send about 30. Above: 431.
    fields: int = 100
    # A body that is collected before its route runs. Log-batches of 2 MB are real, and JSON takes about ten times its
    # length in objects while it is parsed. Above: 413. Routes that stream have no limit here.
    body: int = 32 * 1024 * 1024
    # All bodies that are being collected at one time; without it, many clients that each stay below the limit
    # of one body fill the memory. Above: 503, which clients repeat.
    bodies: int = 256 * 1024 * 1024
    # Chunk extensions and trailers mean nothing to us and are dropped; this is what we read of each line or block
    # to do so. Above: 400.
    chunk_line: int = 4 * 1024
    # From the first byte of a request to the end of its head. A slow head costs a socket and its bytes, no thread. 408.
    head_time: float = 15.0
    # Silence within a body, and within a response that the client does not take. 408, or the connection is closed.
    read_time: float = 30.0
    # The same for streamed bodies and for files: whoever sends or takes much may pause for longer, while a disk
    # catches up or a network comes back. However long a transfer takes, it is never the time as a whole that ends it.
    transfer_time: float = 60.0
    # Silence between requests. A parked connection costs about 1 KB and a file descriptor; clients notice a closed
    # one before they use it, but pay for a new one.
    idle_time: float = 600.0
    # How long a worker waits for the next request of its connection before the connection is parked. Clients that log
    # in a loop come back within it, and so skip two hand-overs between threads per request.
    linger_time: float = 1.0
    # How long a worker waits for a client that does not take its response. Then the connection is parked until it does.
    send_time: float = 0.05
    # After an answer that ends the connection: what is read and dropped so that the client gets the answer and not a
    # reset (RFC 9112, 9.6), and for how long. Who uploads a model to a wrong path is told so, if it is not too large.
    drain: int = 64 * 1024 * 1024
    drain_time: float = 5.0
    # What must have arrived of a streamed body before a worker takes it: small files arrive whole, and clients that
    # trickle hold no thread until then.
    stream_start: int = 64 * 1024
    # Worker threads. More cost memory and switches, fewer make slow requests stand in the way. Together with
    # the threads of the rest of the program it must stay below 64.
    workers: int = 48
    # Workers that may wait for their connection's next request, and workers that may wait for a streamed body. Together
    # below all workers: the others are for whoever comes. A client in parts sends as many at a time as it has cores, or
    # 12; an upload that waits for a worker is not read meanwhile, and clients wait for two minutes.
    lingering: int = 18
    streaming: int = 24
    # Connections that the system completes before we accept them. With 5, a burst of 20 clients sees resets.
    backlog: int = 1024
    # File descriptors that connections leave to stores and log files.
    spare_files: int = 256


class RequestRefused(BadRequest):
    """A request that HTTP itself forbids, or that is above a limit; ``status`` says which."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
