"""What is garbage, that it is shown before it goes, and that nothing else goes."""

from typing import Dict, List, Tuple

import pytest

from tests.conftest import Client
from trackd import garbage
from trackd.errors import InvalidParameterValue, InvalidState, ResourceDoesNotExist, TrackdError
from trackd.garbage import Wanted, duration
from trackd.store.base import Store

DAY = 86_400_000


class Places:
    """Artifacts as a dict from location to files; what is in ``broken`` cannot be removed."""

    def __init__(self) -> None:
        self.files: Dict[str, List[int]] = {}
        self.broken: List[str] = []

    def measure(self, location: str) -> Tuple[int, int]:
        if location.startswith("hdfs:"):
            raise TrackdError("out of reach")
        return len(self.files.get(location, ())), sum(self.files.get(location, ()))

    def remove(self, location: str) -> None:
        if location in self.broken:
            raise PermissionError(13, "Permission denied", location)
        self.files.pop(location, None)


@pytest.fixture
def places() -> Places:
    return Places()


def deleted_run(client: Client, experiment_id: str = "0") -> str:
    run_id = client.run(experiment_id)
    client.ok("runs/delete", run_id=run_id)
    return run_id


def location(client: Client, run_id: str) -> str:
    return str(client.get_run(run_id)["info"]["artifact_uri"])


def ids(plan: garbage.Plan) -> List[str]:
    return sorted(item.id for item in plan.items)


@pytest.mark.parametrize("text, expected", [
    ("30d", 30 * DAY), ("1d2h3m4s", DAY + 7_384_000), ("1.5h", 5_400_000), ("0s", 0), ("2m4s", 124_000),
])
def test_a_duration_is_read_as_mlflow_reads_it(text: str, expected: int) -> None:
    assert duration(text) == expected


@pytest.mark.parametrize("text", ["", "30", "d", "1h1d", "1.2.3d", "-1d", "1 d", "1w", ".d", "٣d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        duration(text)


def test_all_that_is_deleted_goes_and_nothing_else(client: Client, store: Store, places: Places) -> None:
    gone, kept = deleted_run(client), client.run()
    experiment_id = client.ok("experiments/create", name="gone")["experiment_id"]
    inside = client.run(experiment_id)
    places.files = {location(client, run_id): [10, 20] for run_id in (gone, kept, inside)}
    client.ok("experiments/delete", experiment_id=experiment_id)
    plan = garbage.measure(garbage.find(store, Wanted(), 2**42), places)
    assert ids(plan) == sorted([gone, inside, experiment_id]) and plan.kept == []
    assert sum(item.size for item in plan.items) == 60 and sum(item.files for item in plan.items) == 4
    said: List[str] = []
    outcome = garbage.remove(store, places, plan, say=said.append)
    assert len(outcome.removed) == 3 == len(said) and outcome.kept == []
    assert list(places.files) == [location(client, kept)]
    assert store.get_run_info(gone) is None and store.get_experiment(experiment_id) is None
    assert garbage.find(store, Wanted(), 2**42).items == []


def test_only_what_was_deleted_long_enough_ago_goes(client: Client, store: Store) -> None:
    run_id = deleted_run(client)
    experiment_id = client.ok("experiments/create", name="gone")["experiment_id"]
    client.ok("experiments/delete", experiment_id=experiment_id)
    deleted = store.get_experiment(experiment_id)
    assert deleted is not None and deleted.last_update_time is not None
    later = deleted.last_update_time + DAY
    assert garbage.find(store, Wanted(DAY + 1000), later).items == []
    assert ids(garbage.find(store, Wanted(DAY - 60_000), later)) == sorted([run_id, experiment_id])
    for wanted in (Wanted(DAY * 2, run_ids=[run_id]), Wanted(DAY * 2, experiment_ids=[experiment_id])):
        with pytest.raises(InvalidParameterValue, match="more recently"):
            garbage.find(store, wanted, later)


def test_naming_some_means_these_and_no_others(client: Client, store: Store) -> None:
    one, two = deleted_run(client), deleted_run(client)
    experiment_id = client.ok("experiments/create", name="gone")["experiment_id"]
    inside = client.run(experiment_id)
    client.ok("experiments/delete", experiment_id=experiment_id)
    assert ids(garbage.find(store, Wanted(run_ids=[one, one]), 2**42)) == [one]
    assert ids(garbage.find(store, Wanted(experiment_ids=[experiment_id]), 2**42)) == sorted([inside, experiment_id])
    both = Wanted(run_ids=[two], experiment_ids=[experiment_id])
    assert ids(garbage.find(store, both, 2**42)) == sorted([two, inside, experiment_id])


@pytest.mark.parametrize("wanted, error", [
    (Wanted(run_ids=["f" * 32]), ResourceDoesNotExist),
    (Wanted(run_ids=["../x"]), ResourceDoesNotExist),
    (Wanted(experiment_ids=["77"]), ResourceDoesNotExist),
    (Wanted(experiment_ids=["x"]), ResourceDoesNotExist),
    (Wanted(experiment_ids=["0"]), InvalidParameterValue),
])
def test_an_id_that_is_not_in_the_trash_is_an_error(store: Store, wanted: Wanted, error: "type[TrackdError]") -> None:
    with pytest.raises(error):
        garbage.find(store, wanted, 2**42)


def test_an_active_run_that_is_named_is_an_error(client: Client, store: Store) -> None:
    with pytest.raises(InvalidParameterValue, match="not deleted"):
        garbage.find(store, Wanted(run_ids=[client.run()]), 2**42)


def test_an_experiment_with_a_restored_run_stays_unless_it_is_named(client: Client, store: Store) -> None:
    experiment_id = client.ok("experiments/create", name="gone")["experiment_id"]
    restored, other = client.run(experiment_id), client.run(experiment_id)
    client.ok("experiments/delete", experiment_id=experiment_id)
    client.ok("runs/restore", run_id=restored)
    plan = garbage.find(store, Wanted(), 2**42)
    assert ids(plan) == [other] and restored in plan.kept[0]
    assert ids(garbage.find(store, Wanted(experiment_ids=[experiment_id]), 2**42)) == sorted(
        [restored, other, experiment_id]
    )


def test_what_is_restored_before_the_removal_stays(client: Client, store: Store, places: Places) -> None:
    run_id, other = deleted_run(client), deleted_run(client)
    places.files[location(client, run_id)] = [1]
    plan = garbage.measure(garbage.find(store, Wanted(), 2**42), places)
    client.ok("runs/restore", run_id=run_id)
    outcome = garbage.remove(store, places, plan)
    assert [item.id for item in outcome.removed] == [other] and run_id in outcome.kept[0]
    assert places.files and store.get_run_info(run_id) is not None


def test_nobody_restores_what_is_being_removed(client: Client, store: Store, places: Places) -> None:
    run_id = deleted_run(client)
    seen = []

    def remove(location: str) -> None:
        seen.append(client.post("runs/restore", {"run_id": run_id}).error)
        client.ok("experiments/create", name="others go on")

    places.remove = remove  # type: ignore[method-assign]
    garbage.remove(store, places, garbage.find(store, Wanted(), 2**42))
    assert seen == [InvalidState.error_code] and store.get_run_info(run_id) is None
    with pytest.raises(ResourceDoesNotExist):
        garbage.find(store, Wanted(run_ids=[run_id]), 2**42)


def test_a_run_stays_whole_when_its_artifacts_cannot_go(client: Client, store: Store, places: Places) -> None:
    experiment_id = client.ok("experiments/create", name="gone")["experiment_id"]
    stuck, other = client.run(experiment_id), client.run(experiment_id)
    client.ok("experiments/delete", experiment_id=experiment_id)
    places.broken = [location(client, stuck)]
    outcome = garbage.remove(store, places, garbage.find(store, Wanted(), 2**42))
    assert [item.id for item in outcome.removed] == [other] and len(outcome.kept) == 2
    assert store.get_run_info(stuck) is not None and store.get_experiment(experiment_id) is not None
    places.broken = []
    assert len(garbage.remove(store, places, garbage.find(store, Wanted(), 2**42)).removed) == 2


def test_a_run_whose_artifacts_are_out_of_reach_stays_unless_they_are_left(
    client: Client, store: Store, places: Places
) -> None:
    with store.transaction() as tx:
        elsewhere = tx.add_experiment("elsewhere", "hdfs://far/away", [], 1, "")
    run_id = deleted_run(client, elsewhere)
    plan = garbage.measure(garbage.find(store, Wanted(), 2**42), places)
    assert plan.items[0].out_of_reach == "out of reach" and plan.items[0].location.startswith("hdfs://far/away")
    assert "out of reach" in garbage.remove(store, places, plan).kept[0]
    assert store.get_run_info(run_id) is not None
    assert garbage.remove(store, places, plan, leave_artifacts=True).kept == []
    assert store.get_run_info(run_id) is None


def test_a_location_that_is_not_of_this_run_alone_is_never_removed(
    client: Client, store: Store, places: Places
) -> None:
    run_id = deleted_run(client)
    info = store.get_run_info(run_id)
    assert info is not None
    with store.transaction() as tx:
        tx.put_run_info(info._replace(artifact_uri="file:///"), 1)
    places.files["file:///"] = [1]
    plan = garbage.measure(garbage.find(store, Wanted(), 2**42), places)
    assert "not a place of its own" in plan.items[0].out_of_reach
    garbage.remove(store, places, plan, leave_artifacts=True)
    assert places.files and store.get_run_info(run_id) is None


def logged_model(client: Client, experiment_id: str = "0") -> str:
    return str(client.ok("logged-models", experiment_id=experiment_id, name="m")["model"]["info"]["model_id"])


def test_deleted_logged_models_go_and_those_of_a_deleted_experiment(
    client: Client, store: Store, places: Places
) -> None:
    gone, kept = logged_model(client), logged_model(client)
    experiment_id = client.ok("experiments/create", name="gone")["experiment_id"]
    inside = logged_model(client, experiment_id)
    assert client.send("DELETE", f"logged-models/{gone}").status == 200
    client.ok("experiments/delete", experiment_id=experiment_id)
    infos = {model_id: store.get_logged_model_info(model_id) for model_id in (gone, kept, inside)}
    places.files = {info.artifact_location: [1] for info in infos.values() if info}
    with pytest.raises(InvalidParameterValue, match="not deleted"):
        garbage.find(store, Wanted(model_ids=[kept]), 2**42)
    assert ids(garbage.find(store, Wanted(model_ids=[gone]), 2**42)) == [gone]
    deleted = infos[gone]
    assert deleted is not None
    now = deleted.last_updated_timestamp_ms
    assert garbage.find(store, Wanted(DAY), now + DAY // 2).items == []
    plan = garbage.measure(garbage.find(store, Wanted(), 2**42), places)
    assert ids(plan) == sorted([gone, inside, experiment_id])
    assert len(garbage.remove(store, places, plan).removed) == 3
    assert store.get_logged_model_info(gone) is None and store.get_logged_model_info(inside) is None
    assert store.get_logged_model_info(kept) is not None and len(places.files) == 1


def test_what_holds_the_files_of_a_model_version_stays_unless_it_is_named(
    client: Client, store: Store, places: Places
) -> None:
    experiment_id = client.ok("experiments/create", name="gone")["experiment_id"]
    held, other, model_id = client.run(experiment_id), client.run(experiment_id), logged_model(client)
    client.ok("registered-models/create", name="iris")
    client.ok("model-versions/create", name="iris", source=location(client, held) + "/model", run_id=held)
    client.ok("model-versions/create", name="iris", source=f"models:/{model_id}", model_id=model_id)
    client.ok("experiments/delete", experiment_id=experiment_id)
    assert client.send("DELETE", f"logged-models/{model_id}").status == 200
    plan = garbage.find(store, Wanted(), 2**42)
    assert ids(plan) == [other] and len(plan.kept) == 2
    assert any(held in line and "version 1 of the model 'iris'" in line for line in plan.kept)
    garbage.remove(store, places, plan)
    assert store.get_experiment(experiment_id) is not None
    assert ids(garbage.find(store, Wanted(run_ids=[held]), 2**42)) == [held]
    assert ids(garbage.find(store, Wanted(experiment_ids=[experiment_id]), 2**42)) == sorted([held, experiment_id])
    assert ids(garbage.find(store, Wanted(model_ids=[model_id]), 2**42)) == [model_id]


def test_what_another_program_restores_while_it_is_removed_stays(client: Client, store: Store, places: Places) -> None:
    run_id, other = deleted_run(client), deleted_run(client)

    def remove(location: str) -> None:
        info = store.get_run_info(run_id)
        assert info is not None
        with store.transaction() as tx:
            tx.put_run_info(info._replace(lifecycle_stage="active"))

    places.remove = remove  # type: ignore[method-assign]
    outcome = garbage.remove(store, places, garbage.find(store, Wanted(), 2**42))
    assert [item.id for item in outcome.removed] == [other]
    assert run_id in outcome.kept[0] and "its artifacts are gone" in outcome.kept[0]
    assert store.get_run_info(run_id) is not None


def test_two_removals_at_once_do_not_meet(client: Client, store: Store, places: Places) -> None:
    deleted_run(client)
    seen: List[garbage.Outcome] = []

    def remove(location: str) -> None:
        if not seen:
            seen.append(garbage.remove(store, places, plan))

    plan = garbage.find(store, Wanted(), 2**42)
    places.remove = remove  # type: ignore[method-assign]
    assert len(garbage.remove(store, places, plan).removed) == 1
    assert seen[0].removed == [] and "somebody else" in seen[0].kept[0]
