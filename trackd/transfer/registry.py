"""Copying the registry: registered models (prompts too), their versions under the same numbers, stages and aliases."""

from typing import Callable, List, Optional

from trackd.entities import ModelVersion, RegisteredModel, Tag
from trackd.transfer.counts import Counts
from trackd.transfer.sides import Source, Target, pairs

#: What a place or an id at the source is called at the target.
Here = Callable[[Optional[str]], Optional[str]]


def copy_registered_model(
    source: Source, target: Target, model: RegisteredModel, run_here: Here, place_here: Here, counts: Counts
) -> None:
    """Copy a registered model with its versions; aliases come last, when what they name is there."""
    there = target.find_registered_model(model.name)
    new = there is None
    if there is None:
        there = target.add_registered_model(model)
    have = pairs(there.tags)
    tags = [Tag(key, value) for key, value in pairs(model.tags).items() if have.get(key) != value]
    target.add_to_registered_model(there, model, tags)
    counts.note("registered models", written=int(new), skipped=int(not new))
    versions = {version.version: version for version in target.model_versions(there)}
    for version in source.model_versions(model):
        wanted = version._replace(
            source=place_here(version.source),
            storage_location=place_here(version.storage_location),
            run_id=run_here(version.run_id) if version.run_id else version.run_id,
            model_id=target.model_here(version.model_id) if version.model_id else version.model_id,
        )
        _copy_version(target, wanted, versions.get(version.version), counts)
    aliases = dict(there.aliases)
    for alias, number in model.aliases:
        if aliases.get(alias) != number:
            target.put_alias(model.name, alias, number)


def _copy_version(target: Target, version: ModelVersion, there: Optional[ModelVersion], counts: Counts) -> None:
    new = there is None
    if there is None:
        there = target.add_model_version(version)
    elif (there.source, there.run_id or None) != (version.source, version.run_id or None):
        counts.refused.append(
            f"version {version.version} of the model {version.name!r}: the target has another one under that number"
        )
        counts.note("model versions", skipped=1)
        return
    have = pairs(there.tags)
    tags: List[Tag] = [Tag(key, value) for key, value in pairs(version.tags).items() if have.get(key) != value]
    target.add_to_model_version(there, version, tags)
    counts.note("model versions", written=int(new), skipped=int(not new))
