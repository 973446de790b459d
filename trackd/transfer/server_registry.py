"""The registry of a running server as a side of a copy, over MLflow's REST API."""

from typing import Any, Dict, Iterator, List, Optional, Sequence

from trackd.entities import DELETED_STAGE, IS_PROMPT_TAG, NO_STAGE, Alias, ModelVersion, RegisteredModel, Tag
from trackd.transfer.http import Http
from trackd.transfer.sides import Refused, Target

#: Numbers of deleted versions that a server is made to skip, so that those above them keep theirs.
MOST_FILLERS = 1000
_PROMPTS = f"tags.`{IS_PROMPT_TAG}` = 'true'"


class ServerRegistry(Target):
    """What ``ServerSide`` does about the registry."""

    http: Http

    # -- reading ------------------------------------------------------------------------------------------------------

    def registered_models(self) -> Iterator[RegisteredModel]:
        """See ``sides``. Prompts are hidden from whoever does not ask for them."""
        seen = set()
        for condition in ("", _PROMPTS):
            for found in self._all("registered-models/search", "registered_models", condition):
                model = _model(found)
                if model.name not in seen:
                    seen.add(model.name)
                    yield self.find_registered_model(model.name) or model

    def model_versions(self, model: RegisteredModel) -> List[ModelVersion]:
        """See ``sides``."""
        quote = '"' if "'" in model.name else "'"
        condition = f"name = {quote}{model.name}{quote}"
        if any(tag.key == IS_PROMPT_TAG and tag.value == "true" for tag in model.tags):
            condition += f" AND {_PROMPTS}"
        found = [_version(each) for each in self._all("model-versions/search", "model_versions", condition)]
        return sorted((each for each in found if each.current_stage != DELETED_STAGE), key=lambda each: each.version)

    def _all(self, path: str, name: str, condition: str) -> Iterator[Dict[str, Any]]:
        asked: Dict[str, Any] = {"max_results": 200}
        if condition:
            asked["filter"] = condition
        while True:
            answer = self.http.get(path, asked) or {}
            yield from answer.get(name, ())
            if not answer.get("next_page_token"):
                return
            asked["page_token"] = answer["next_page_token"]

    # -- writing ------------------------------------------------------------------------------------------------------

    def find_registered_model(self, name: str) -> Optional[RegisteredModel]:
        """See ``sides``."""
        answer = self.http.get("registered-models/get", {"name": name}, absent=True)
        return _model(answer["registered_model"]) if answer else None

    def add_registered_model(self, model: RegisteredModel) -> RegisteredModel:
        """See ``sides``. What makes it a prompt it must be from the start, as MLflow's clients do."""
        tags = [tag for tag in model.tags if tag.key == IS_PROMPT_TAG]
        asked = {"name": model.name, "description": model.description or "", "tags": _pairs(tags)}
        return _model(self.http.post("registered-models/create", asked, once=True)["registered_model"])

    def add_to_registered_model(self, there: RegisteredModel, model: RegisteredModel, tags: Sequence[Tag]) -> None:
        """See ``sides``."""
        if (there.description or "") != (model.description or ""):
            self.http.patch("registered-models/update", {"name": model.name, "description": model.description or ""})
        for tag in tags:
            self.http.post("registered-models/set-tag", {"name": model.name, "key": tag.key, "value": tag.value})

    def put_alias(self, name: str, alias: str, version: int) -> None:
        """See ``sides``."""
        self.http.post("registered-models/alias", {"name": name, "alias": alias, "version": str(version)})

    def add_model_version(self, version: ModelVersion) -> ModelVersion:
        """See ``sides``. A server counts by itself: where the source has gaps, versions are made and deleted."""
        asked: Dict[str, Any] = {
            "name": version.name,
            "source": version.source or "",
            "description": version.description or "",
            "tags": _pairs([tag for tag in version.tags if tag.key == IS_PROMPT_TAG]),
        }
        for name, value in (("run_id", version.run_id), ("run_link", version.run_link), ("model_id", version.model_id)):
            if value:
                asked[name] = value
        for _ in range(MOST_FILLERS):
            made = _version(self.http.post("model-versions/create", asked, once=True)["model_version"])
            if made.version == version.version:
                return made
            self._delete(made)
            if made.version > version.version:
                break
        raise Refused(f"the server cannot give version {version.version} of the model {version.name!r} its number.")

    def _delete(self, version: ModelVersion) -> None:
        asked = {"name": version.name, "version": str(version.version)}
        self.http.delete("model-versions/delete", asked)

    def add_to_model_version(self, there: ModelVersion, version: ModelVersion, tags: Sequence[Tag]) -> None:
        """See ``sides``."""
        named = {"name": version.name, "version": str(version.version)}
        if (there.description or "") != (version.description or ""):
            self.http.patch("model-versions/update", {**named, "description": version.description or ""})
        for tag in tags:
            self.http.post("model-versions/set-tag", {**named, "key": tag.key, "value": tag.value})
        if (there.current_stage or NO_STAGE) != (version.current_stage or NO_STAGE):
            self.http.post(
                "model-versions/transition-stage",
                {**named, "stage": version.current_stage, "archive_existing_versions": False},
            )


def _pairs(tags: Sequence[Tag]) -> List[Dict[str, str]]:
    return [{"key": tag.key, "value": tag.value} for tag in tags]


def _tags(found: Dict[str, Any]) -> List[Tag]:
    return [Tag(each["key"], each.get("value", "")) for each in found.get("tags", ())]


def _model(found: Dict[str, Any]) -> RegisteredModel:
    return RegisteredModel(
        found["name"],
        int(found.get("creation_timestamp", 0)),
        int(found.get("last_updated_timestamp", 0)),
        found.get("description"),
        _tags(found),
        [Alias(each["alias"], int(each["version"])) for each in found.get("aliases", ())],
    )


def _version(found: Dict[str, Any]) -> ModelVersion:
    return ModelVersion(
        found["name"],
        int(found["version"]),
        int(found.get("creation_timestamp", 0)),
        int(found.get("last_updated_timestamp", 0)),
        found.get("description"),
        found.get("user_id"),
        found.get("current_stage") or NO_STAGE,
        found.get("source"),
        None,
        found.get("run_id"),
        found.get("run_link"),
        found.get("status"),
        found.get("status_message"),
        _tags(found),
        (),
        found.get("model_id"),
    )
