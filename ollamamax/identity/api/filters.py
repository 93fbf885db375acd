"""What lists of identity's API can be filtered by: each field's ``source`` is the lookup that it stands for."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class CreatedFilters(serializers.Serializer[Any]):
    """For what has a time of making."""

    created_since = serializers.DateTimeField(required=False, source="created_at__gte")
    created_until = serializers.DateTimeField(required=False, source="created_at__lt")


class KeyFilters(CreatedFilters):
    name = serializers.CharField(required=False, max_length=100, source="name__icontains", help_text="A part of it.")
    created_by = serializers.UUIDField(required=False)
    priority = serializers.CharField(required=False, max_length=8)
    revoked = serializers.BooleanField(required=False, allow_null=True, default=None)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        revoked = attrs.pop("revoked", None)
        return attrs if revoked is None else attrs | {"revoked_at__isnull": not revoked}


class TenantFilters(CreatedFilters):
    name = serializers.CharField(required=False, max_length=200, source="name__icontains", help_text="A part of it.")
    slug = serializers.CharField(required=False, max_length=63)


class MemberFilters(CreatedFilters):
    email = serializers.CharField(required=False, max_length=254, source="user__email__iexact")
    role = serializers.CharField(required=False, max_length=63, source="role__slug", help_text="The slug of a role.")
    state = serializers.CharField(required=False, max_length=16)
    source = serializers.CharField(required=False, max_length=16)  # type: ignore[assignment]


class RoleFilters(CreatedFilters):
    slug = serializers.CharField(required=False, max_length=63)
    is_system = serializers.BooleanField(required=False, allow_null=True, default=None)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        wanted = attrs.pop("is_system", None)
        return attrs if wanted is None else attrs | {"tenant__isnull": wanted}


class GrantFilters(CreatedFilters):
    member = serializers.UUIDField(required=False, source="membership_id")
    permission = serializers.CharField(required=False, max_length=64, source="permission__codename")
    kind = serializers.CharField(required=False, max_length=20, source="content_type__model")
    object = serializers.UUIDField(required=False, source="object_pk")


class TeamGrantFilters(CreatedFilters):
    team = serializers.UUIDField(required=False, source="group__team")
    permission = serializers.CharField(required=False, max_length=64, source="permission__codename")
    kind = serializers.CharField(required=False, max_length=20, source="content_type__model")
    object = serializers.UUIDField(required=False, source="object_pk")


class TeamFilters(CreatedFilters):
    slug = serializers.CharField(required=False, max_length=63)
    name = serializers.CharField(required=False, max_length=100, source="name__icontains", help_text="A part of it.")
    role = serializers.CharField(required=False, max_length=63, source="role__slug", help_text="The slug of the role.")
    member = serializers.UUIDField(
        required=False, source="group__members__membership", help_text="The id of a membership that is in it."
    )


class ServiceAccountFilters(CreatedFilters):
    name = serializers.CharField(required=False, max_length=63, source="name__icontains", help_text="A part of it.")
    team = serializers.CharField(required=False, max_length=63, source="team__slug", help_text="The slug of its team.")
    state = serializers.CharField(required=False, max_length=16, source="membership__state")
