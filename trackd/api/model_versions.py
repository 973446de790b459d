"""Versions of registered models, their stages and tags: /api/2.0/mlflow/model-versions."""

from typing import Any, Dict

from trackd import fields, wire
from trackd.api import downloads, patterns, rules, sources
from trackd.api.context import Context
from trackd.entities import (
    ARCHIVED,
    DELETED_STAGE,
    IS_PROMPT_TAG,
    NO_STAGE,
    PRODUCTION,
    READY,
    STAGING,
    ModelVersion,
    Tag,
)
from trackd.errors import InvalidParameterValue
from trackd.search import paging, prompts, schemas
from trackd.search.grammar import parse_filter, parse_order_by
from trackd.store.base import Transaction
from trackd.web.message import Response
from trackd.web.router import route


@route("POST", "/api/2.0/mlflow/model-versions/create")
def create(
    ctx: Context,
    name: fields.RegisteredModelName,
    source: fields.Source,
    run_id: fields.VersionRunId = None,
    tags: fields.RegistryTags = (),
    run_link: fields.RunLink = "",
    description: fields.Description = None,
    model_id: fields.VersionModelId = None,
) -> Dict[str, Any]:
    """Add a version to a registered model, under the number above the highest that it ever had."""
    patterns.check_source(source)
    kept = [Tag(key, value) for key, value in sorted(dict(tags).items())]
    if any(key == IS_PROMPT_TAG and value.lower() == "true" for key, value in kept):
        origin = sources.check_prompt(source)._replace(run_id=run_id or "")
    else:
        origin = sources.resolve(ctx, source, run_id, model_id)
    time = rules.now()
    version = ModelVersion(
        name, 0, time, time, description or "", None, NO_STAGE, origin.source, origin.location, origin.run_id,
        run_link, READY, None, kept, (), origin.model_id,
    )
    if not origin.model_id:
        with ctx.registry.transaction() as tx:
            version = _add(tx, version)
    else:
        with ctx.both() as (tx, registry):
            version = _add(registry, version)
            rules.add_model_version(tx, origin.model_id, name, version.version)
    return {"model_version": wire.model_version(version)}


def _add(tx: Transaction, version: ModelVersion) -> ModelVersion:
    """Keep a version under its number."""
    rules.touch_model(tx, version.name, version.creation_timestamp or 0)
    version = version._replace(version=tx.next_model_version(version.name))
    tx.add_model_version(version)
    return version


@route("GET", "/api/2.0/mlflow/model-versions/get")
def get(ctx: Context, name: fields.RegisteredModelName, version: fields.Version) -> Dict[str, Any]:
    """Get a version of a registered model with its tags and aliases."""
    return {"model_version": wire.model_version(rules.find_version(ctx.registry, name, version))}


@route("GET", "/api/2.0/mlflow/model-versions/get-download-uri")
def get_download_uri(ctx: Context, name: fields.RegisteredModelName, version: fields.Version) -> Dict[str, Any]:
    """Get where the files of a version lie; of a copied version, where those of the original do."""
    found = rules.find_version(ctx.registry, name, version)
    return {"artifact_uri": found.storage_location or found.source}


@route("GET", "/model-versions/get-artifact")
def get_artifact(
    ctx: Context, name: fields.RegisteredModelName, version: fields.Version, path: fields.ArtifactPath
) -> Response:
    """Download a file of a version, from where its files lie."""
    found = rules.find_version(ctx.registry, name, version)
    return downloads.send(ctx, sources.files_of(ctx, found), path)


@route("GET", "/api/2.0/mlflow/model-versions/search")
def search(
    ctx: Context,
    filter: fields.Filter = "",
    max_results: fields.VersionPageSize = 200_000,
    order_by: fields.OrderBy = (),
    page_token: fields.PageToken = None,
) -> Dict[str, Any]:
    """Search versions of all registered models, a page at a time; those of prompts only if the filter asks for them."""
    wants_prompts, clause = prompts.split(parse_filter(filter, schemas.MODEL_VERSIONS))
    order = parse_order_by(order_by, schemas.MODEL_VERSIONS)
    cursor = paging.decode(page_token)
    found, following = ctx.registry.search_model_versions(wants_prompts, clause, order, max_results, cursor)
    return {
        "model_versions": [wire.model_version(each) for each in found] or None,
        "next_page_token": paging.encode(following) if following else None,
    }


@route("PATCH", "/api/2.0/mlflow/model-versions/update")
def update(
    ctx: Context,
    name: fields.RegisteredModelName,
    version: fields.Version,
    description: fields.Description = None,
) -> Dict[str, Any]:
    """Change the description of a version; without one it is cleared."""
    with ctx.registry.transaction() as tx:
        found = rules.find_version(tx, name, version)
        changed = found._replace(description=description, last_updated_timestamp=rules.now())
        tx.put_model_version(changed)
    return {"model_version": wire.model_version(changed)}


@route("POST", "/api/2.0/mlflow/model-versions/transition-stage")
def transition_stage(
    ctx: Context,
    name: fields.RegisteredModelName,
    version: fields.Version,
    stage: fields.Stage,
    archive_existing_versions: fields.Archive = False,
) -> Dict[str, Any]:
    """Move a version to a stage; with ``archive_existing_versions`` the others there are archived."""
    if archive_existing_versions and stage not in (STAGING, PRODUCTION):
        raise InvalidParameterValue(
            f"archive_existing_versions means something for {STAGING} and {PRODUCTION} only, not for {stage}."
        )
    time = rules.now()
    with ctx.registry.transaction() as tx:
        found = rules.find_version(tx, name, version)
        for other in tx.list_model_versions(name, stage) if archive_existing_versions else ():
            if other.version != version:
                tx.put_model_version(other._replace(current_stage=ARCHIVED, last_updated_timestamp=time))
        moved = found._replace(current_stage=stage, last_updated_timestamp=time)
        tx.put_model_version(moved)
        rules.touch_model(tx, name, time)
    return {"model_version": wire.model_version(moved)}


@route("DELETE", "/api/2.0/mlflow/model-versions/delete")
def delete(ctx: Context, name: fields.RegisteredModelName, version: fields.Version) -> Dict[str, Any]:
    """Delete a version and the aliases that name it. Its number is not used again."""
    time = rules.now()
    with ctx.registry.transaction() as tx:
        found = rules.find_version(tx, name, version)
        for alias in found.aliases:
            tx.drop_alias(name, alias)
        # What MLflow leaves of it in its tables.
        tx.put_model_version(
            found._replace(
                current_stage=DELETED_STAGE,
                last_updated_timestamp=time,
                description=None,
                user_id=None,
                source="REDACTED-SOURCE-PATH",
                run_id="REDACTED-RUN-ID",
                run_link="REDACTED-RUN-LINK",
                status_message=None,
            )
        )
        rules.touch_model(tx, name, time)
    return {}


@route("POST", "/api/2.0/mlflow/model-versions/set-tag")
def set_tag(
    ctx: Context,
    name: fields.RegisteredModelName,
    version: fields.Version,
    key: fields.SetKey,
    value: fields.RegistryTagValue = "",
) -> Dict[str, Any]:
    """Set a tag of a version; one that is there is overwritten."""
    with ctx.registry.transaction() as tx:
        rules.find_version(tx, name, version)
        tx.put_model_version_tags(name, version, [Tag(key, value)])
    return {}


@route("DELETE", "/api/2.0/mlflow/model-versions/delete-tag")
def delete_tag(
    ctx: Context, name: fields.RegisteredModelName, version: fields.Version, key: fields.SetKey
) -> Dict[str, Any]:
    """Delete a tag of a version, if it has it."""
    with ctx.registry.transaction() as tx:
        rules.find_version(tx, name, version)
        tx.drop_model_version_tag(name, version, key)
    return {}
