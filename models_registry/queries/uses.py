"""Reads what uses a name of a model: what somebody who deletes it ought to know."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.queries.request import count_running
from models_registry.models import Alias, Channel, Model, Version


@dataclass(frozen=True)
class Uses:
    """``names``: others of the same version, which stay. ``aliases`` point at the name; ``fallbacks`` are models and aliases for which it
    stands in. ``replicas``: nodes that have it. ``running``: the tenant's requests that run with it now.
    ``by_engines``: engines keep the model, and delete it themselves."""

    names: list[str]
    aliases: list[str]
    fallbacks: list[str]
    replicas: int
    running: int
    shared: bool
    by_engines: bool

    @property
    def breaks(self) -> list[str]:
        """What would point at nothing without it."""
        return [*self.aliases, *self.fallbacks]


def uses_of(channel: Channel) -> Uses:
    """``channel`` with its model and version, of the tenant in scope. Queries: 5. Raises `Unavailable` when Redis is away."""
    full = f"{channel.model.name}:{channel.name}"
    version = channel.version
    standing_in = [{"model": full}]
    others = version.channels.exclude(pk=channel.pk).select_related("model").order_by("model__name", "name")
    names = [f"{each.model.name}:{each.name}" for each in others]
    models = Model.objects.filter(fallbacks__contains=standing_in).exclude(pk=channel.model_id).order_by("name")
    aliases = Alias.objects.filter(fallbacks__contains=standing_in).order_by("name")
    return Uses(
        names=names,
        aliases=list(Alias.objects.filter(target=full).order_by("name").values_list("name", flat=True)),
        fallbacks=[*models.values_list("name", flat=True), *aliases.values_list("name", flat=True)],
        replicas=version.replicas.count(),
        running=count_running(channel.tenant_id.hex, full),
        shared=channel.model.shared,
        by_engines=version.source == Version.Source.EXTERNAL and not names,
    )
