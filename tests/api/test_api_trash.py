"""The trash over HTTP: what is in it and how large it is, and how it goes for good."""

from typing import Any, Dict

from tests.conftest import Client


def put(client: Client, run: str, data: bytes) -> str:
    """Keep a file among a run's artifacts, as a client does; where it is."""
    place = client.get_run(run)["info"]["artifact_uri"].partition(":/")[2]
    path = f"/api/2.0/mlflow-artifacts/artifacts/{place}/weights.bin"
    assert client.send("PUT", path, data, headers={"content-length": str(len(data))}).status == 200
    return path


def items(client: Client) -> Dict[str, Any]:
    """What is in the trash, by id."""
    return {each["id"]: each for each in client.get("/api/trackd/trash").json.get("items", [])}


def test_the_trash_lists_deleted_runs_and_experiments_with_the_size_of_their_artifacts(client: Client) -> None:
    experiment = client.ok("experiments/create", name="going")["experiment_id"]
    inside, outside, kept = client.run(experiment), client.run(run_name="outside"), client.run()
    put(client, outside, b"x" * 1000)
    client.ok("runs/delete", run_id=outside)
    client.ok("experiments/delete", experiment_id=experiment)
    found = items(client)
    assert set(found) == {experiment, inside, outside} and kept not in found
    assert (found[outside]["files"], found[outside]["size"], found[outside]["name"]) == (1, 1000, "outside")
    assert found[experiment]["kind"] == "experiment"


def test_what_is_removed_is_gone_with_its_artifacts_and_nothing_else_is(client: Client) -> None:
    going, staying = client.run(), client.run()
    path = put(client, going, b"x")
    for run in (going, staying):
        client.ok("runs/delete", run_id=run)
    reply = client.post("/api/trackd/trash/remove", {"run_ids": [going]}).json
    assert [each["id"] for each in reply["removed"]] == [going] and "kept" not in reply
    assert client.get("runs/get", {"run_id": going}).status == 404
    assert client.send("GET", path).status == 404
    assert set(items(client)) == {staying}
    client.ok("runs/restore", run_id=staying)
    assert items(client) == {}


def test_an_experiment_goes_with_its_runs(client: Client) -> None:
    experiment = client.ok("experiments/create", name="going")["experiment_id"]
    run = client.run(experiment)
    client.ok("experiments/delete", experiment_id=experiment)
    client.ok("/api/trackd/trash/remove", experiment_ids=[experiment])
    assert client.get("experiments/get", {"experiment_id": experiment}).status == 404
    assert client.get("runs/get", {"run_id": run}).status == 404


def test_what_is_not_deleted_or_not_named_is_refused_and_stays(client: Client) -> None:
    run = client.run()
    assert client.post("/api/trackd/trash/remove", {}).status == 400
    assert client.post("/api/trackd/trash/remove", {"run_ids": [run]}).status == 400
    assert client.post("/api/trackd/trash/remove", {"run_ids": ["0" * 32]}).status == 404
    assert client.get_run(run)["info"]["lifecycle_stage"] == "active"
