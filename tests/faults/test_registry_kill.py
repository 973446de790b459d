"""``kill -9`` while twenty clients create versions: none acknowledged is lost, none is half there, and no gaps."""

import threading
from pathlib import Path
from typing import Any, Dict, List, Set

import pytest

from tests.faults.program import Client, Program, trackd

WRITERS = 20
ROUNDS = 8
#: Seconds of load before each kill.
LOAD = 0.5


def _create_until_killed(port: int, acknowledged: List[int]) -> None:
    """One client; ends when its connection does."""
    tags = [{"key": "a", "value": "1"}, {"key": "b/c", "value": "2"}]
    body = {"name": "iris", "source": "s3://bucket/m", "tags": tags}
    try:
        with Client(port) as client:
            while True:
                acknowledged.append(int(client.ok("model-versions/create", body)["model_version"]["version"]))
    except OSError:
        return


def _versions(client: Client) -> List[Dict[str, Any]]:
    found = client.found("model-versions/search", {"filter": "name = 'iris'", "order_by": "version_number"})
    return list(found.get("model_versions", []))


@pytest.mark.slow
@pytest.mark.parametrize("place", ["folder", "database"])
def test_a_kill_while_versions_are_created_loses_none_and_leaves_no_gap(tmp_path: Path, place: str) -> None:
    root = tmp_path / "mlruns"
    flags = [] if place == "folder" else ["--backend-store-uri", f"sqlite:///{tmp_path}/models.db"]
    known: Set[int] = set()
    for number in range(ROUNDS):
        program = Program(root, "--sync", ("1s", "full", "off")[number % 3], *flags)
        with program.client() as client:
            if number == 0:
                client.ok("registered-models/create", {"name": "iris"})
            found = _versions(client)
        numbers = [int(version["version"]) for version in found]
        assert numbers == list(range(1, len(numbers) + 1)) and known <= set(numbers)
        assert all(len(version.get("tags", [])) == 2 for version in found)
        acknowledged: List[int] = []
        writers = [
            threading.Thread(target=_create_until_killed, args=(program.port, acknowledged)) for _ in range(WRITERS)
        ]
        for writer in writers:
            writer.start()
        writers[0].join(LOAD)
        program.kill()
        for writer in writers:
            writer.join()
        assert len(set(acknowledged)) == len(acknowledged), "a number was given to two"
        assert not known & set(acknowledged), "a number was given again"
        known |= set(acknowledged)
    assert len(known) > 20 * ROUNDS, "too little load to say anything"
    if place == "folder":
        with Program(root):
            pass
        checked = trackd("check", str(root))
        assert checked.returncode == 0 and "ok" in checked.stdout, checked.stdout
