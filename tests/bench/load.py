"""The load generator: closed-loop HTTP clients on raw sockets, one thread, one selector.

It shares two cores with the server it measures, so it does little: requests are bytes made beforehand, a reply is read
only as far as its status, its length and its end. Each connection sends its next request when the last reply is whole.

Run as ``python3 -m tests.bench.load`` it reads a plan as JSON from standard input and writes what it saw as JSON to
standard output: a process of its own, so that neither the runner's memory nor its threads touch the figures.
"""

import gc
import json
import selectors
import socket
import sys
import time
from array import array
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

#: Stands in a request for ten digits that differ in each request sent; as wide as what replaces it, so that
#: Content-Length stays true.
MARK = b"@@@@@@@@@@"
#: The first number: ten digits from the start, because JSON has no leading zeros.
FIRST_NUMBER = 1_000_000_000
#: Bytes asked of one ``recv``: large enough that a reply of 1 MB takes few calls.
RECEIVE = 1 << 20
#: After this many replies that are not 200 a round is given up: what it measures is not the workload.
MAX_ERRORS = 10


class LoadError(Exception):
    """The server did not answer, or not as HTTP; the message says what was seen."""


class Plan(NamedTuple):
    """What to send. ``requests`` are taken in turn; a round ends after ``seconds`` or ``max_requests``."""

    port: int
    connections: int
    requests: List[bytes]
    seconds: float = 1.0
    rounds: int = 3
    max_requests: int = 1_000_000
    warmup_seconds: float = 0.5
    warmup_requests: int = 1_000_000
    timeout: float = 120.0
    first_number: int = FIRST_NUMBER


class Round(NamedTuple):
    """What one round saw. ``rate`` is replies per second, latencies are in milliseconds."""

    replies: int
    seconds: float
    rate: float
    p50: float
    p99: float
    errors: int


class Result(NamedTuple):
    """All rounds, the processor time of this process over them, and samples of replies that were not 200."""

    rounds: List[Round]
    cpu_seconds: float
    reconnects: int
    next_number: int
    samples: List[str]

    @property
    def errors(self) -> int:
        """Replies that were not 200, over all rounds."""
        return sum(one.errors for one in self.rounds)


class Connection:
    """One client: a non-blocking socket and how much of its reply is still to come."""

    __slots__ = ("port", "sock", "unsent", "started", "remaining", "head", "tail", "status", "closing", "buffer")

    #: ``remaining`` while the head is incomplete, in a chunked body, and in a body that ends with the connection.
    HEAD, CHUNKED, UNTIL_CLOSE = -1, -2, -3

    def __init__(self, port: int, buffer: bytearray) -> None:
        self.port = port
        self.buffer = buffer
        self.connect()

    def connect(self) -> None:
        """Open (or open again) the connection."""
        self.sock = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.closing = False

    def send(self, request: bytes) -> bool:
        """Send a request; False if the socket took only a part and ``flush`` must be called when it is writable."""
        self.remaining = self.HEAD
        self.head = b""
        self.tail = b""
        self.status = b""
        self.started = time.perf_counter()
        try:
            sent = self.sock.send(request)
        except BlockingIOError:
            sent = 0
        self.unsent = memoryview(request)[sent:] if sent < len(request) else None
        return self.unsent is None

    def flush(self) -> bool:
        """Send more of what is unsent; True when nothing is left."""
        if self.unsent is not None:
            try:
                self.unsent = self.unsent[self.sock.send(self.unsent):] or None
            except BlockingIOError:
                return False
        return self.unsent is None

    def receive(self) -> bool:
        """Read what there is; True when the reply is whole."""
        try:
            size = self.sock.recv_into(self.buffer)
        except BlockingIOError:
            return False
        if size == 0:
            if self.remaining == self.UNTIL_CLOSE:
                self.closing = True
                return True
            raise LoadError(f"the server closed the connection inside a reply; so far: {self.head[:200]!r}")
        if self.remaining > 0:
            self.remaining -= size
            return self._counted()
        data = bytes(memoryview(self.buffer)[:size])
        if self.remaining == self.HEAD:
            return self._read_head(self.head + data)
        return self._read_body(data)

    def _read_head(self, data: bytes) -> bool:
        """Take status and framing from the head, if it is whole, and the body's first bytes."""
        end = data.find(b"\r\n\r\n")
        self.head = data
        if end < 0:
            return False
        if not data.startswith(b"HTTP/1."):
            raise LoadError(f"not an HTTP reply: {data[:200]!r}")
        fields = data[: end + 2].lower()
        self.status = data[9:12]
        if b"\r\nconnection: close" in fields:
            self.closing = True
        at = fields.find(b"\r\ncontent-length:")
        if at >= 0:
            self.remaining = int(fields[at + 17 : fields.find(b"\r\n", at + 17)]) - (len(data) - end - 4)
            return self._counted()
        self.remaining = self.CHUNKED if b"\r\ntransfer-encoding: chunked" in fields else self.UNTIL_CLOSE
        return self._read_body(data[end + 2 :])

    def _counted(self) -> bool:
        """True when a body of known length is whole."""
        if self.remaining < 0:
            raise LoadError(f"a reply is longer than it says: {self.head[:200]!r}")
        return self.remaining == 0

    def _read_body(self, data: bytes) -> bool:
        """Look for the last chunk. No request is under way behind this one, so the body ends where the data ends.

        The CRLF that ends the head is passed in as the body's first bytes: an empty body then looks like any other.
        """
        if self.remaining == self.UNTIL_CLOSE:
            return False
        self.tail = (self.tail + data)[-7:]
        return self.tail == b"\r\n0\r\n\r\n"


class Load:
    """The connections of one plan and the rounds driven over them."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.number = plan.first_number
        self.reconnects = 0
        self.samples: List[str] = []
        self.selector = selectors.DefaultSelector()
        buffer = bytearray(RECEIVE)
        self.connections = [Connection(plan.port, buffer) for _ in range(plan.connections)]
        for connection in self.connections:
            self.selector.register(connection.sock, selectors.EVENT_READ, connection)

    def run(self) -> Result:
        """Warm up, then measure every round."""
        plan = self.plan
        if plan.warmup_requests > 0:
            self.round(plan.warmup_seconds, plan.warmup_requests)
        before = time.process_time()
        rounds = [self.round(plan.seconds, plan.max_requests) for _ in range(plan.rounds)]
        spent = time.process_time() - before
        return Result(rounds, spent, self.reconnects, self.number, self.samples)

    def round(self, seconds: float, max_requests: int) -> Round:
        """Keep all connections busy for a while, then wait for what is under way; all replies are counted."""
        latencies = array("d")
        begin = time.perf_counter()
        deadline = begin + seconds
        issued = min(len(self.connections), max_requests)
        waiting = issued
        errors = 0
        for connection in self.connections[:issued]:
            self._send(connection)
        while waiting:
            events = self.selector.select(self.plan.timeout)
            if not events:
                raise LoadError(f"no answer within {self.plan.timeout:g} s")
            for key, mask in events:
                connection = key.data
                if mask & selectors.EVENT_WRITE and connection.flush():
                    self.selector.modify(connection.sock, selectors.EVENT_READ, connection)
                if not (mask & selectors.EVENT_READ and connection.receive()):
                    continue
                now = time.perf_counter()
                latencies.append(now - connection.started)
                if connection.status != b"200":
                    errors += self._note(connection)
                if connection.closing:
                    self._reconnect(connection)
                if issued < max_requests and now < deadline and errors < MAX_ERRORS:
                    issued += 1
                    self._send(connection)
                else:
                    waiting -= 1
        return summarise(latencies, time.perf_counter() - begin, errors)

    def _send(self, connection: Connection) -> None:
        """Send the next request on a connection."""
        requests = self.plan.requests
        number = self.number
        self.number = number + 1
        request = requests[number % len(requests)].replace(MARK, b"%d" % number)
        if not connection.send(request):
            self.selector.modify(connection.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)

    def _note(self, connection: Connection) -> int:
        """Keep a sample of a reply that is not 200."""
        if len(self.samples) < 3:
            self.samples.append(connection.head[:600].decode("latin-1"))
        return 1

    def _reconnect(self, connection: Connection) -> None:
        """The server ends connections now and then: open the next one, and say how often that happened."""
        self.selector.unregister(connection.sock)
        connection.sock.close()
        connection.connect()
        self.selector.register(connection.sock, selectors.EVENT_READ, connection)
        self.reconnects += 1

    def close(self) -> None:
        """Close all connections."""
        for connection in self.connections:
            connection.sock.close()
        self.selector.close()


def summarise(latencies: Sequence[float], seconds: float, errors: int) -> Round:
    """The figures of one round from its latencies, in seconds."""
    ordered = sorted(latencies)
    count = len(ordered)
    if not count:
        return Round(0, seconds, 0.0, 0.0, 0.0, errors)
    return Round(
        replies=count,
        seconds=seconds,
        rate=count / seconds,
        p50=ordered[count // 2] * 1000,
        p99=ordered[min(count - 1, count * 99 // 100)] * 1000,
        errors=errors,
    )


def drive(plan: Plan) -> Result:
    """Carry out a plan in this process."""
    load = Load(plan)
    try:
        return load.run()
    finally:
        load.close()


def plan_to_json(plan: Plan) -> str:
    """A plan as the text ``main`` reads."""
    fields: Dict[str, Any] = plan._asdict()
    fields["requests"] = [request.decode("latin-1") for request in plan.requests]
    return json.dumps(fields)


def plan_from_json(text: str) -> Plan:
    """The plan that ``plan_to_json`` wrote."""
    fields = json.loads(text)
    fields["requests"] = [request.encode("latin-1") for request in fields["requests"]]
    return Plan(**fields)


def result_from_json(text: str) -> Result:
    """The result that ``main`` wrote."""
    fields = json.loads(text)
    fields["rounds"] = [Round(*one) for one in fields["rounds"]]
    return Result(**fields)


def main(stdin: Optional[str] = None) -> int:
    """Read a plan, carry it out, write the result; 1 and a sentence if the server failed."""
    plan = plan_from_json(sys.stdin.read() if stdin is None else stdin)
    gc.disable()  # nothing here makes cycles, and a pause would be booked on the server
    try:
        result = drive(plan)
    except (LoadError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(result._asdict()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
