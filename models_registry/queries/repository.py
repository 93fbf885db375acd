"""Reads repositories of the registry protocol: a model's manifests, blobs and tags, as far as who asks may know of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from django.db.models import Q, QuerySet
from django.db.models.functions import Length

from models_registry.distribution.faults import RegistryFault, blob_unknown, manifest_unknown, name_unknown
from models_registry.distribution.image import Referrer
from models_registry.distribution.names import is_digest, is_tag, meant, path_of
from models_registry.models import Blob, Channel, Image, Model, Release, Upload, Version
from models_registry.queries.mirror import find_mirrored
from ollamamax.identity.models import Tenant
from ollamamax.identity.queries.role import restrict
from ollamamax.identity.rights import require, tenant_of
from ollamamax.identity.roles import reference
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.principal import Principal

SEEN = ("model.view", "model.manage")
NONE = uuid.UUID(int=0)
"""No model's: to filter by it finds nothing."""
T = TypeVar("T")


@dataclass(frozen=True)
class Repository:
    """``name`` is as it was asked for; ``model`` is the model's name in the tenant ``owner``; ``id`` is `NONE` while there is no such model.

    ``is_lent``: another tenant's, which shares it with all.
    """

    name: str
    owner: uuid.UUID
    model: str
    id: uuid.UUID
    is_lent: bool = False

    @property
    def is_there(self) -> bool:
        return self.id != NONE

    @property
    def on(self) -> str | None:
        """The model, as grants name it."""
        return reference("model", self.id) if self.is_there else None


def find_repository(acting: Principal, name: str) -> Repository:
    """What the name means to who asks; a model may not be there yet. Queries: 2 to 5."""
    tenant = tenant_of(acting)
    with tenant_scope(tenant):
        names = meant(name, _slug(tenant))
        for each in names:
            found = Model.objects.filter(name=each).first() or (
                Model.objects.filter(name__iexact=each).order_by("name").first()
            )
            if found is not None:
                return Repository(name, tenant, found.name, found.id)
    return _lent(name) or Repository(name, tenant, names[0], NONE)


def _lent(name: str) -> Repository | None:
    slug, _, rest = name.partition("/")
    with every_tenant():
        found = Model.objects.filter(tenant__slug=slug, shared=True, name=rest).first()
    return None if found is None else Repository(name, found.tenant_id, found.name, found.id, is_lent=True)


def _slug(tenant: uuid.UUID) -> str:
    return Tenant.objects.values_list("slug", flat=True).get(pk=tenant)


def may_pull(acting: Principal, repository: Repository) -> bool:
    if repository.is_lent:
        return any(acting.may_somewhere(each) for each in SEEN)
    return any(acting.may(each, repository.on) for each in SEEN)


def may_push(acting: Principal, repository: Repository) -> bool:
    return not repository.is_lent and acting.may("model.manage", repository.on)


def require_to_pull(acting: Principal, name: str, *, new: bool = False) -> Repository:
    """The repository, which is there, or (``new``) which ``acting`` may make: blobs come before it. Raises `RegistryFault`, also for one that
    ``acting`` may not see."""
    found = find_repository(acting, name)
    if new and may_push(acting, found):
        return found
    if not found.is_there or not may_pull(acting, found):
        raise name_unknown(name)
    return found


def require_to_push(acting: Principal, name: str) -> Repository:
    """The repository, which may be new. Raises `Forbidden`, and `RegistryFault` for one that ``acting`` may not even see."""
    if find_mirrored(acting, name) is not None:
        raise RegistryFault(
            "DENIED", 403, "This is a mirror's repository: nothing is pushed to it, or deleted from it."
        )
    found = find_repository(acting, name)
    if may_push(acting, found):
        return found
    if found.is_there and not may_pull(acting, found):
        raise name_unknown(name)
    require(acting, "model.manage", None if found.is_lent else found.on)
    raise name_unknown(name)  # a tenant's model that it lends is not ours to change


def within(repository: Repository, read: Callable[[], T]) -> T:
    """What ``read`` reads in the tenant that owns the repository, of which `require_to_pull` said that it may be read."""
    with tenant_scope(repository.owner):
        return read()


def blob_in(repository: Repository, digest: str) -> Blob:
    """A blob of one of its versions, or one that was sent to it. Raises `RegistryFault`. Queries: 1."""
    held = Version.objects.filter(releases__model_id=repository.id).values("blobs")
    sent = Upload.objects.filter(repository=repository.model).values("blob_id")
    found = Blob.objects.filter(Q(pk__in=held) | Q(pk__in=sent), pk=digest, damaged_at=None).first()
    if found is None:
        raise blob_unknown(digest)
    return found


def image_in(repository: Repository, reference_: str) -> Image | Channel | Release:
    """The manifest of a tag or digest; a channel or a release where none was made of its version yet. Raises `RegistryFault`."""
    if is_digest(reference_):
        found = _images(repository).filter(digest=reference_).first()
        if found is None:
            raise manifest_unknown(reference_)
        return found
    if not is_tag(reference_):
        raise manifest_unknown(reference_)
    channel = _tags(repository).select_related("version", "model").filter(name=reference_).first()
    if channel is None:
        raise manifest_unknown(reference_)
    return image_of(channel) or channel


def image_of(channel: Channel) -> Image | None:
    """The manifest that it was pushed with, or else one that was made of its version."""
    images = Image.objects.filter(model_id=channel.model_id, version_id=channel.version_id)
    return images.filter(digest=channel.image).first() or images.order_by("id").first()


def images_of(release: Release) -> list[str]:
    """Digests of the manifests by which it can be pulled, the oldest first."""
    return list(
        Image.objects.filter(model_id=release.model_id, version_id=release.version_id)
        .order_by("id")
        .values_list("digest", flat=True)
    )


def tags(repository: Repository, after: str, most: int) -> list[str]:
    """In order, those that come after ``after``."""
    return list(_tags(repository).filter(name__gt=after).order_by("name").values_list("name", flat=True)[:most])


def referrers(repository: Repository, digest: str, artifact_type: str, after: str, most: int) -> list[Referrer]:
    """By their digests, in order, those that come after ``after``."""
    found = _images(repository).filter(subject=digest, digest__gt=after).order_by("digest")
    if artifact_type:
        found = found.filter(artifact_type=artifact_type)
    rows = found.annotate(size=Length("body"))
    return [Referrer(*row) for row in rows.values_list(*_REFERRER)[:most]]


_REFERRER = ("digest", "size", "media_type", "artifact_type", "annotations")


def catalog(acting: Principal, after: str, most: int) -> list[str]:
    """Names of the tenant's repositories that ``acting`` may see, in order, those that come after ``after``."""
    tenant = tenant_of(acting)
    with tenant_scope(tenant):
        slug = _slug(tenant)
        found = restrict(acting, SEEN, "model", Model.objects.exclude(name__startswith="/"))
        start = after.removeprefix(f"{slug}/")
        names = found.filter(name__gt=start).order_by("name").values_list("name", flat=True)[:most]
        return [path_of(slug, each) for each in names]


def _tags(repository: Repository) -> QuerySet[Channel]:
    return Channel.objects.filter(model_id=repository.id).exclude(version__source=Version.Source.EXTERNAL)


def _images(repository: Repository) -> QuerySet[Image]:
    return Image.objects.filter(model_id=repository.id)
