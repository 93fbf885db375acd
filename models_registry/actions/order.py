"""Asks for jobs on models by what a person says: pull this, make that, delete it."""

from __future__ import annotations

import uuid

from models_registry import recipe
from models_registry.actions.job import submit_job
from models_registry.actions.name import copy_name, delete_name
from models_registry.models import Channel, Job
from models_registry.queries.model import get_channel, spelled
from models_registry.queries.upstream import allowed_registries
from models_registry.queries.uses import uses_of
from models_registry.recipe import CreateRequest
from models_registry.transfer.reference import Reference
from ollamamax.contract.ignored import Ignored
from ollamamax.identity.rights import require_in_tenant, require_somewhere
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict
from ollamamax.kernel.principal import Principal

_SHOWN = 5


def order_pull(*, acting: Principal, model: str, insecure: bool = False) -> Job:
    """Pull a model from the registry that its name begins with, or Ollama's.

    Raises `InvalidRequest` for a name that is none, and `Forbidden` for a registry that this installation does not speak to.
    """
    reference = Reference.parse(model.strip(), insecure=insecure)
    allowed_registries().check(reference)
    return submit_job(acting=acting, kind=Job.Kind.PULL, model=reference.name, request=reference.as_dict())


def order_creation(*, acting: Principal, asked: CreateRequest) -> Job:
    """Make a model of another one, or of blobs that were sent before. Raises `InvalidRequest` and `Unsupported`, naming the field."""
    tenant = require_in_tenant(acting, "model.manage")
    recipe.FIELDS.obey(asked, Ignored())
    wanted = recipe.checked(asked)
    with tenant_scope(tenant):
        wanted["model"] = spelled(wanted["model"])
    return submit_job(acting=acting, kind=Job.Kind.CREATE, model=wanted["model"], request=wanted)


def copy_model(*, acting: Principal, channel_id: uuid.UUID, name: str) -> Channel:
    """Give the version behind a name another name besides. Raises `NotFound`, `InvalidRequest`, and `Conflict` for a name that is taken."""
    tenant = require_somewhere(acting, "model.manage")
    with tenant_scope(tenant):
        source = get_channel(acting, channel_id)
        destination = spelled(recipe.new_name(name))
        model, _, tag = destination.rpartition(":")
        held = Channel.objects.filter(model__name=model, name=tag).first()
    if held is not None and held.version_id != source.version_id:
        raise Conflict(f"There is a model '{destination}' already.", param="name")
    return copy_name(acting=acting, source=f"{source.model.name}:{source.name}", destination=destination)


def delete_model(*, acting: Principal, channel_id: uuid.UUID, force: bool = False) -> Job | None:
    """Forget a name, and the model with its last one. A job, where engines keep the model and delete it themselves.

    Raises `NotFound`, and unless ``force`` is set, `Conflict` that says what points at the name.
    """
    tenant = require_somewhere(acting, "model.manage")
    with tenant_scope(tenant):
        channel = get_channel(acting, channel_id)
        uses = uses_of(channel)
    name = f"{channel.model.name}:{channel.name}"
    if uses.breaks and not force:
        more = len(uses.breaks) - _SHOWN
        told = ", ".join(uses.breaks[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
        raise Conflict(f"'{name}' is used by {told}.", aliases=uses.aliases, fallbacks=uses.fallbacks)
    if uses.by_engines:
        return submit_job(acting=acting, kind=Job.Kind.DELETE, model=name, request={"model": name})
    delete_name(acting=acting, name=name)
    return None
