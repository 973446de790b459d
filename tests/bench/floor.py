"""The floor: trackd's own web server, one handler that looks up a canned answer, no API and no store.

``python3 -m tests.bench.floor PORT``. Replies have the size of real ones, so that a search costs what sending it costs.
"""

import json
import re
import signal
import sys
from typing import Any, Dict, List

from tests.bench.data import FULL, LARGE, SINGLES, START_TIME, SeedRun, Shape, shape_runs
from trackd.web.message import Request, Response
from trackd.web.server import Server

RUN = "/api/2.0/mlflow/runs/"


def run_json(shape: Shape, run: SeedRun) -> Dict[str, Any]:
    """A run as it looks in a reply."""
    return {
        "info": {
            "run_uuid": run.run_id,
            "experiment_id": str(shape.experiment_id),
            "run_name": run.name,
            "user_id": "alice",
            "status": "FINISHED",
            "start_time": run.start_time,
            "end_time": run.start_time + 60_000,
            "artifact_uri": f"mlflow-artifacts:/{shape.experiment_id}/{run.run_id}/artifacts",
            "lifecycle_stage": "active",
            "run_id": run.run_id,
        },
        "data": {
            "metrics": [
                {"key": key, "value": value, "timestamp": run.start_time, "step": 0} for key, value in run.metrics
            ],
            "params": [{"key": key, "value": value} for key, value in run.params],
            "tags": [{"key": key, "value": value} for key, value in run.tags],
        },
        "inputs": {},
    }


class Floor:
    """Canned answers, each made when it is first asked for."""

    def __init__(self) -> None:
        self.bodies: Dict[str, bytes] = {}

    def handle(self, request: Request) -> Response:
        """The answer for a path (and, in a search, for the number of runs that it asks for)."""
        key = request.path
        if key == RUN + "search":
            key = str(_asked(request.body))
        body = self.bodies.get(key)
        if body is None:
            body = self.bodies[key] = self._make(request)
        return Response(200, body)

    def _make(self, request: Request) -> bytes:
        """A body of the size that the real answer has."""
        if request.path == RUN + "search":
            wanted = _asked(request.body)
            shape = FULL if wanted <= FULL.runs else LARGE
            # The token leads nowhere new: the next page is the same canned one.
            return json.dumps({"runs": self._runs(shape, wanted), "next_page_token": "canned"}).encode("ascii")
        if request.path in (RUN + "get", RUN + "create"):
            return json.dumps({"run": self._runs(SINGLES, 1)[0]}).encode("ascii")
        if request.path.endswith("/experiments/search"):
            return json.dumps({"experiments": [{"experiment_id": "0", "creation_time": START_TIME}]}).encode("ascii")
        return b"{}"

    @staticmethod
    def _runs(shape: Shape, count: int) -> List[Dict[str, Any]]:
        """The first runs of a shape."""
        return [run_json(shape, run) for _, run in zip(range(count), shape_runs(shape))]


def _asked(body: bytes) -> int:
    """How many runs a search asks for."""
    found = re.search(rb'"max_results": ?(\d+)', body)
    return int(found.group(1)) if found else 0


def main(port: int) -> int:
    """Serve on 127.0.0.1 until SIGTERM."""
    server = Server("127.0.0.1", port, Floor().handle, lambda method, path: False)

    def stop(number: int, frame: object) -> None:
        server.shutdown(1.0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
