"""A whole search as one CSV or JSON file, on every store."""

import csv
import io
import json
from typing import Any, Dict, List

import pytest

from tests.conftest import Client

EXPORT = "/api/trackd/runs/export"


def table(client: Client, **query: Any) -> List[Dict[str, str]]:
    """The rows of a CSV export."""
    reply = client.get(EXPORT, {"experiment_ids": ["0"], **query})
    assert reply.status == 200 and reply.response.content_type == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(reply.response.body.decode("utf-8-sig"), newline="")))


HOSTILE = 'a,"b"\r\n\u202e<script>\U0001f600'


def test_a_table_has_a_column_for_every_key_and_keeps_every_character(client: Client) -> None:
    one = client.run(run_name="one, two", start_time=1700000000123)
    two = client.run(tags=[{"key": "only", "value": "two"}], start_time=2**62)
    client.ok("runs/log-parameter", run_id=one, key="p", value=HOSTILE)
    client.ok("runs/log-metric", run_id=one, key="m", value="NaN", timestamp=1)
    client.ok("runs/log-metric", run_id=two, key="m", value=0.1, timestamp=1)
    rows = {row["run_id"]: row for row in table(client)}
    assert list(rows[one])[:3] == ["run_id", "run_name", "experiment_id"]
    assert rows[one]["params.p"] == HOSTILE and rows[two]["params.p"] == ""
    assert (rows[one]["metrics.m"], rows[two]["metrics.m"], rows[two]["tags.only"]) == ("nan", "0.1", "two")
    assert rows[one]["start_time"] == "2023-11-14T22:13:20.123Z" and rows[two]["start_time"] == str(2**62)
    assert rows[one]["run_name"] == rows[one]["tags.mlflow.runName"] == "one, two"


@pytest.mark.parametrize("count", [0, 1, 7])
def test_all_pages_are_there_in_the_order_asked_for(
    client: Client, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trackd.api.exports._PAGE", 2)
    runs = [client.run(start_time=number) for number in range(count)]
    query = {"order_by": ["start_time ASC"], "filter": "attributes.start_time >= 0"}
    assert [row["run_id"] for row in table(client, **query)] == runs
    reply = client.get(EXPORT, {"experiment_ids": ["0"], "format": "json", **query})
    assert [run["info"]["run_id"] for run in json.loads(reply.response.body)["runs"]] == runs
    found = client.ok("runs/search", experiment_ids=["0"], order_by=["start_time ASC"]).get("runs", [])
    assert [run["data"] for run in reply.json["runs"]] == [run["data"] for run in found]
    headers = dict(reply.response.headers)
    assert headers["Content-Disposition"] == 'attachment; filename="runs-0.json"'


def test_deleted_runs_and_other_experiments_are_there_only_if_asked_for(client: Client) -> None:
    run = client.run()
    client.ok("runs/delete", run_id=run)
    assert table(client) == [] and table(client, experiment_ids=["7"]) == []
    assert [row["lifecycle_stage"] for row in table(client, run_view_type="ALL")] == ["deleted"]


@pytest.mark.parametrize(
    "query", [{"filter": "metrics.m >"}, {"order_by": ["nothing"]}, {"format": "xls"}, {"experiment_ids": ["x"]}]
)
def test_a_search_that_cannot_be_read_is_refused_before_anything_is_sent(client: Client, query: Dict[str, Any]) -> None:
    reply = client.get(EXPORT, {"experiment_ids": ["0"], **query})
    assert (reply.status, reply.error) == (400, "INVALID_PARAMETER_VALUE")
