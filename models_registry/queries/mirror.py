"""Reads mirrors: which one a repository's name is below, and what is kept of it."""

from __future__ import annotations

import datetime
import uuid
from dataclasses import dataclass

from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from models_registry.distribution.faults import blob_unknown, name_unknown
from models_registry.distribution.upstream import below, there
from models_registry.models import Blob, Mirror, MirroredBlob, MirroredImage, MirroredTag
from models_registry.transfer.reference import Reference
from ollamamax.identity.models import Tenant
from ollamamax.identity.rights import tenant_of
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import NotFound
from ollamamax.kernel.principal import Principal

VIEW = "model.view"


@dataclass(frozen=True)
class MirroredRepository:
    """``name`` is as it was asked for, ``repository`` what of it is below the prefix."""

    name: str
    repository: str
    mirror: Mirror

    @property
    def tenant(self) -> uuid.UUID:
        return self.mirror.tenant_id

    def reference(self, tag: str = "latest") -> Reference:
        """At the upstream."""
        return there(self.mirror.upstream, self.repository, tag)

    def images(self) -> QuerySet[MirroredImage]:
        return MirroredImage.objects.filter(mirror=self.mirror, repository=self.repository)

    def blobs(self) -> QuerySet[MirroredBlob]:
        return MirroredBlob.objects.filter(mirror=self.mirror, repository=self.repository)

    def tags(self) -> QuerySet[MirroredTag]:
        return MirroredTag.objects.filter(mirror=self.mirror, repository=self.repository)


def find_mirrored(acting: Principal, name: str) -> MirroredRepository | None:
    """The mirror of the acting tenant that the name is below. Raises `RegistryFault` for who may not see the tenant's models. Queries: 2."""
    tenant = tenant_of(acting)
    first, _, rest = name.partition("/")
    with tenant_scope(tenant):
        mirrors = list(Mirror.objects.filter(prefix__in={first, rest.partition("/")[0]} - {""}))
        slug = Tenant.objects.values_list("slug", flat=True).get(pk=tenant) if mirrors else ""
    found = [(mirror, below(mirror.prefix, name, slug)) for mirror in mirrors]
    for mirror, repository in found:
        if repository:
            if not acting.may(VIEW):
                raise name_unknown(name)
            return MirroredRepository(name, repository, mirror)
    return None


def kept_image(mirrored: MirroredRepository, reference: str) -> tuple[MirroredImage, bool] | None:
    """The manifest of a tag or digest, and whether it is to be believed: a digest always is, a tag for a while. Queries: 1."""
    with tenant_scope(mirrored.tenant):
        if ":" in reference:
            image = mirrored.images().filter(digest=reference).first()
            return None if image is None else (image, True)
        tag = mirrored.tags().select_related("image").filter(name=reference).first()
        if tag is None:
            return None
        age = timezone.now() - tag.checked_at
        return tag.image, age < datetime.timedelta(seconds=mirrored.mirror.check_seconds)


def named_blob(mirrored: MirroredRepository, digest: str) -> MirroredBlob:
    """A blob that a manifest of the repository names. Raises `RegistryFault`. Queries: 1."""
    with tenant_scope(mirrored.tenant):
        found = mirrored.blobs().select_related("blob").filter(digest=digest).first()
    if found is None:
        raise blob_unknown(digest)
    return found


def kept_tags(mirrored: MirroredRepository, after: str, most: int) -> list[str]:
    """Tags that were pulled, in order, those that come after ``after``."""
    with tenant_scope(mirrored.tenant):
        return list(mirrored.tags().filter(name__gt=after).order_by("name").values_list("name", flat=True)[:most])


def mirrors() -> QuerySet[Mirror]:
    """Of the tenant in scope, with ``kept_bytes`` (each blob counted once), ``image_count`` and ``used_at``, null where nothing was pulled."""
    kept = MirroredBlob.objects.filter(mirror=OuterRef(OuterRef("pk")), blob=OuterRef("pk"))
    blobs = Blob.objects.filter(Exists(kept)).order_by().values(all=Value(1))
    images = MirroredImage.objects.filter(mirror=OuterRef("pk")).order_by().values("mirror")
    return Mirror.objects.annotate(
        kept_bytes=Coalesce(Subquery(blobs.annotate(bytes=Sum("size")).values("bytes")), 0),
        image_count=Coalesce(Subquery(images.annotate(count=Count("pk")).values("count")), 0),
        used_at=Subquery(images.annotate(last=Max("used_at")).values("last")),
    )


def get_mirror(mirror_id: uuid.UUID) -> Mirror:
    """Raises `NotFound`."""
    found = mirrors().filter(pk=mirror_id).first()
    if found is None:
        raise NotFound("There is no such mirror.")
    return found


def kept_bytes(mirror_id: uuid.UUID) -> int:
    """Of its blobs, each counted once. Queries: 1."""
    kept = MirroredBlob.objects.filter(mirror=mirror_id, blob=OuterRef("pk"))
    return int(Blob.objects.filter(Exists(kept)).aggregate(all=Sum("size"))["all"] or 0)


def mirrored_tags(mirror_id: uuid.UUID) -> QuerySet[MirroredTag]:
    """Tags that were pulled by a mirror, each with its manifest, the ``size`` of all that it names, and the ``kept_bytes`` of that. Raises `NotFound`."""
    kept = Sum("image__blobs__size", filter=Q(image__blobs__blob__isnull=False))
    return (
        MirroredTag.objects.select_related("image")
        .filter(mirror=get_mirror(mirror_id))
        .annotate(size=Coalesce(Sum("image__blobs__size"), 0), kept_bytes=Coalesce(kept, 0))
    )
