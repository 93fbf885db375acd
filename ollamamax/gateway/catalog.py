"""Model names of a tenant and the versions they stand for, from the directory (tables ``models``, ``aliases``)."""

from __future__ import annotations

import weakref
from collections.abc import Iterator

import msgspec

from models_registry.rollout.side import conversation_of, has_new
from models_registry.spelling import canonical
from ollamamax.bus.directory import Directory
from ollamamax.contract.model_names import PINNED, with_tag
from ollamamax.contract.tables import ALIASES, MODELS, SHARED, Listed, Trial, model_field, shared_field
from ollamamax.gateway.asked import Asked
from ollamamax.gateway.call import Call
from ollamamax.kernel import errors
from ollamamax.kernel.principal import Principal

full_name = with_tag


USE = "inference.use"


def may_use(acting: Principal, listed: Listed) -> bool:
    return acting.may(USE, listed.model)


def resolve(directory: Directory, acting: Principal, name: str) -> Listed:
    """By the name as it is, else by another spelling of it; an alias is followed, once.

    Raises `ModelNotFound`, for a name of another tenant, and for a model that ``acting`` may not use, just the same.
    """
    tenant = acting.tenant or ""
    listed = _resolved(directory, tenant, name)
    if not may_use(acting, listed) or not acting.reach.has_model(full_name(name), listed.alias_of):
        raise errors.ModelNotFound(f"model '{name}' not found", param="model", model=name)
    return listed


def _resolved(directory: Directory, tenant: str, name: str) -> Listed:
    full = full_name(name)
    if (listed := _named(directory, tenant, full)) is not None:
        return listed
    spelled = _spellings_of(directory).find(tenant, name)
    if spelled is not None and (listed := _named(directory, tenant, spelled)) is not None:
        return listed if listed.alias_of else msgspec.structs.replace(listed, alias_of=spelled)
    alias = directory.get(ALIASES, model_field(tenant, spelled or full))
    why = f": it is an alias of '{alias.target}', which is not there any more" if alias else ""
    raise errors.ModelNotFound(f"model '{name}' not found{why}", param="model", model=name)


def _named(directory: Directory, tenant: str, full: str) -> Listed | None:
    alias = directory.get(ALIASES, model_field(tenant, full))
    listed = _model(directory, tenant, alias.target if alias else full)
    return alias.listing(listed) if alias and listed else listed


class _Spellings:
    """The names of a directory by their `canonical` spelling: made when a name is not found as it is, and kept until names change."""

    def __init__(self, directory: Directory) -> None:
        self._directory = weakref.ref(directory)
        self._names: dict[str, str] | None = None
        directory.on_change(self._changed)

    def find(self, tenant: str, name: str) -> str | None:
        """The full name that is meant; a tenant's own goes before a shared one, the first in order before others."""
        if self._names is None:
            self._names = self._made()
        meant = canonical(name)
        return self._names.get(f"{tenant}/{meant}") or self._names.get(f"{SHARED}/{meant}")

    def _made(self) -> dict[str, str]:
        directory = self._directory()
        assert directory is not None  # noqa: S101 - it is what was asked
        found: dict[str, str] = {}
        for field in sorted({field for field, _ in (*directory.items(ALIASES), *directory.items(MODELS))}):
            owner, _, name = field.partition("/")
            found.setdefault(f"{owner}/{canonical(name)}", name)
        return found

    def _changed(self, table: str, fields: frozenset[str]) -> None:
        if table in {MODELS.name, ALIASES.name}:
            self._names = None


_spellings: weakref.WeakKeyDictionary[Directory, _Spellings] = weakref.WeakKeyDictionary()


def _spellings_of(directory: Directory) -> _Spellings:
    if directory not in _spellings:
        _spellings[directory] = _Spellings(directory)
    return _spellings[directory]


def on_trial(directory: Directory, call: Call, listed: Listed, trial: Trial, asked: Asked, name: str) -> Listed:
    """What a channel under rollout stands for in this request: the version it points at, or the new one. ``name`` as the client gave it."""
    told = listed.alias_of or full_name(name)
    who = f"{call.principal.id} {call.notes.user}"
    conversation = conversation_of(asked.inferences[0], asked.affinity, call.id)
    if has_new(trial.rollout, trial.share, who, conversation):
        new = _model(directory, call.principal.tenant or "", trial.name)
        if new is not None:
            return msgspec.structs.replace(new, alias_of=told, fallbacks=listed.fallbacks)
    return msgspec.structs.replace(listed, alias_of=told)


def in_shadow(directory: Directory, call: Call, told: Listed, trial: Trial) -> Listed | None:
    """The version on which this request is run again, unseen, if it is among the rollout's share of shadow traffic. ``told`` is what answers it."""
    if not has_new(f"{trial.rollout} shadow", trial.shadow, "", call.id.encode()):
        return None
    new = _model(directory, call.principal.tenant or "", trial.name)
    return None if new is None else msgspec.structs.replace(new, alias_of=told.alias_of, fallbacks=())


def names(directory: Directory, acting: Principal) -> Iterator[tuple[str, Listed]]:
    """All names of the tenant of ``acting`` that they may use, aliases of models that are there too, in order.

    Without ``name@sha256:...``, by which a version is used, and not listed.
    """
    tenant = acting.tenant or ""
    own: dict[str, Listed] = {}
    shared: dict[str, Listed] = {}
    for field, listed in directory.items(MODELS):
        owner, _, name = field.partition("/")
        if PINNED in name:
            continue
        if owner == tenant:
            own[name] = listed
        elif owner == SHARED:
            shared[name] = listed
    found = shared | own
    prefix = f"{tenant}/"
    for field, alias in directory.items(ALIASES):
        if field.startswith(prefix) and (target := _model(directory, tenant, alias.target)) is not None:
            found[field[len(prefix) :]] = alias.listing(target)
    return iter(
        sorted(
            (name, listed)
            for name, listed in found.items()
            if may_use(acting, listed) and acting.reach.has_model(name, listed.alias_of)
        )
    )


def _model(directory: Directory, tenant: str, full: str) -> Listed | None:
    return directory.get(MODELS, model_field(tenant, full)) or directory.get(MODELS, shared_field(full))
