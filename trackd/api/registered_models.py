"""Registered models, their tags and aliases: /api/2.0/mlflow/registered-models. Prompts are registered models."""

from typing import Any, Dict, Optional

from trackd import fields, wire
from trackd.api import rules
from trackd.api.context import Context
from trackd.entities import STAGES, RegisteredModel, Tag
from trackd.errors import ResourceAlreadyExists
from trackd.fields.kinds import shown
from trackd.search import paging, prompts, schemas
from trackd.search.grammar import parse_filter, parse_order_by
from trackd.web.router import route


@route("POST", "/api/2.0/mlflow/registered-models/create")
def create(
    ctx: Context,
    name: fields.RegisteredModelName,
    tags: fields.RegistryTags = (),
    description: fields.Description = None,
) -> Dict[str, Any]:
    """Create a registered model, or a prompt if it has the tag mlflow.prompt.is_prompt."""
    time = rules.now()
    kept = [Tag(key, value) for key, value in sorted(dict(tags).items())]
    model = RegisteredModel(name, time, time, description or "", kept)
    with ctx.registry.transaction() as tx:
        _refuse_taken(tx.get_registered_model(name))
        tx.add_registered_model(model)
    return {"registered_model": wire.registered_model(model)}


def _refuse_taken(same: Optional[RegisteredModel]) -> None:
    if same is not None:
        what = "prompt" if rules.is_prompt(same) else "registered model"
        raise ResourceAlreadyExists(f"A {what} named {shown(same.name)} is there already; choose another name.")


@route("GET", "/api/2.0/mlflow/registered-models/get")
def get(ctx: Context, name: fields.RegisteredModelName) -> Dict[str, Any]:
    """Get a registered model with its tags, aliases and the latest version of each stage."""
    return {"registered_model": wire.registered_model(rules.find_model(ctx.registry, name))}


@route("GET", "/api/2.0/mlflow/registered-models/search")
@route("POST", "/api/2.0/mlflow/registered-models/search")
def search(
    ctx: Context,
    filter: fields.Filter = "",
    max_results: fields.ModelPageSize = 100,
    order_by: fields.OrderBy = (),
    page_token: fields.PageToken = None,
) -> Dict[str, Any]:
    """Search registered models, a page at a time; prompts only if the filter asks for them. (R's client POSTs.)"""
    wants_prompts, clause = prompts.split(parse_filter(filter, schemas.REGISTERED_MODELS))
    order = parse_order_by(order_by, schemas.REGISTERED_MODELS)
    cursor = paging.decode(page_token)
    found, following = ctx.registry.search_registered_models(wants_prompts, clause, order, max_results, cursor)
    return {
        "registered_models": [wire.registered_model(each) for each in found] or None,
        "next_page_token": paging.encode(following) if following else None,
    }


@route("POST", "/api/2.0/mlflow/registered-models/rename")
def rename(
    ctx: Context, name: fields.RegisteredModelName, new_name: fields.RegisteredModelName
) -> Dict[str, Any]:
    """Rename a registered model; versions, tags and aliases go with it."""
    with ctx.registry.transaction() as tx:
        model = rules.find_model(tx, name)
        if new_name == name:
            tx.put_registered_model(model._replace(last_updated_timestamp=rules.now()))
        else:
            _refuse_taken(tx.get_registered_model(new_name))
            tx.rename_registered_model(name, new_name, rules.now())
        renamed = rules.find_model(tx, new_name)
    return {"registered_model": wire.registered_model(renamed)}


@route("PATCH", "/api/2.0/mlflow/registered-models/update")
def update(
    ctx: Context, name: fields.RegisteredModelName, description: fields.Description = None
) -> Dict[str, Any]:
    """Change the description of a registered model; without one it is cleared."""
    with ctx.registry.transaction() as tx:
        found = rules.find_model(tx, name)
        model = found._replace(description=description or "", last_updated_timestamp=rules.now())
        tx.put_registered_model(model)
    return {"registered_model": wire.registered_model(model)}


@route("DELETE", "/api/2.0/mlflow/registered-models/delete")
def delete(ctx: Context, name: fields.RegisteredModelName) -> Dict[str, Any]:
    """Delete a registered model with all its versions. A model of that name that is made later begins at version 1."""
    with ctx.registry.transaction() as tx:
        rules.require_model(tx, name)
        tx.drop_registered_model(name)
    return {}


@route("GET", "/api/2.0/mlflow/registered-models/get-latest-versions")
@route("POST", "/api/2.0/mlflow/registered-models/get-latest-versions")
def get_latest_versions(
    ctx: Context, name: fields.RegisteredModelName, stages: fields.Stages = ()
) -> Dict[str, Any]:
    """List the highest version of each of these stages, of all stages if none is named."""
    model = rules.find_model(ctx.registry, name)
    found = [
        version._replace(aliases=[alias.alias for alias in model.aliases if alias.version == version.version])
        for version in model.latest_versions
        if version.current_stage in (stages or STAGES)
    ]
    return {"model_versions": [wire.model_version(each) for each in found] or None}


@route("POST", "/api/2.0/mlflow/registered-models/set-tag")
def set_tag(
    ctx: Context, name: fields.RegisteredModelName, key: fields.SetKey, value: fields.RegistryTagValue = ""
) -> Dict[str, Any]:
    """Set a tag of a registered model; one that is there is overwritten."""
    with ctx.registry.transaction() as tx:
        rules.require_model(tx, name)
        tx.put_registered_model_tags(name, [Tag(key, value)])
    return {}


@route("DELETE", "/api/2.0/mlflow/registered-models/delete-tag")
def delete_tag(ctx: Context, name: fields.RegisteredModelName, key: fields.SetKey) -> Dict[str, Any]:
    """Delete a tag of a registered model, if it has it."""
    with ctx.registry.transaction() as tx:
        rules.require_model(tx, name)
        tx.drop_registered_model_tag(name, key)
    return {}


@route("POST", "/api/2.0/mlflow/registered-models/alias")
def set_alias(
    ctx: Context, name: fields.RegisteredModelName, alias: fields.NewAlias, version: fields.Version
) -> Dict[str, Any]:
    """Let an alias name this version of a registered model, and no other one."""
    with ctx.registry.transaction() as tx:
        rules.find_version(tx, name, version)
        tx.put_alias(name, alias, version)
    return {}


@route("DELETE", "/api/2.0/mlflow/registered-models/alias")
def delete_alias(ctx: Context, name: fields.RegisteredModelName, alias: fields.AnAlias) -> Dict[str, Any]:
    """Delete an alias of a registered model, if it has it."""
    with ctx.registry.transaction() as tx:
        rules.require_model(tx, name)
        tx.drop_alias(name, alias)
    return {}


@route("GET", "/api/2.0/mlflow/registered-models/alias")
def get_alias(ctx: Context, name: fields.RegisteredModelName, alias: fields.AnAlias) -> Dict[str, Any]:
    """Get the version that an alias names; the alias latest names the highest."""
    return {"model_version": wire.model_version(rules.version_by_alias(ctx.registry, name, alias))}
