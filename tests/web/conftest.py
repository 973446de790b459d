"""The server under test."""

from typing import Any, Callable, Iterator, List, Optional

import pytest

from tests.web.wire import Running, Serve
from trackd.web.limits import Limits
from trackd.web.message import Request, Response


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers: ``serve(handle, streams=..., body=..., ...)``, the last being limits. All end with the test."""
    started: List[Running] = []

    def start(
        handle: Optional[Callable[[Request], Response]] = None,
        streams: Callable[[str, str], bool] = lambda method, path: path.startswith("/stream"),
        **limits: Any,
    ) -> Running:
        started.append(Running(handle, streams, Limits(**limits)))
        return started[-1]

    yield start
    for running in started:
        running.server.shutdown(grace=1.0)
        running.thread.join(10.0)
        assert not running.thread.is_alive()
