"""The shapes of identity's API; nothing here reads or writes."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from ollamamax.identity.models import Role
from ollamamax.identity.roles import PERMISSIONS


class UserSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    email = serializers.EmailField()
    name = serializers.CharField(source="email", help_text="How to show the user.")


class TenantSerializer(serializers.Serializer[Any]):
    """A tenant, and the user's role in it."""

    id = serializers.UUIDField()
    slug = serializers.CharField()
    name = serializers.CharField()
    role = serializers.ChoiceField(choices=Role.choices)


class SessionSerializer(serializers.Serializer[Any]):
    """Who is logged in with this cookie. ``tenant`` is the one the session acts in."""

    authenticated = serializers.BooleanField()
    user = UserSerializer(allow_null=True)
    tenant = TenantSerializer(allow_null=True)
    tenants = TenantSerializer(many=True)
    permissions = serializers.ListField(child=serializers.ChoiceField(choices=sorted(PERMISSIONS)))


class LogInSerializer(serializers.Serializer[Any]):
    email = serializers.CharField(max_length=254)
    password = serializers.CharField(max_length=1024, trim_whitespace=False, style={"input_type": "password"})


class MeSerializer(serializers.Serializer[Any]):
    """Who is calling, and what they may do."""

    kind = serializers.ChoiceField(choices=["user", "key"])
    id = serializers.UUIDField()
    name = serializers.CharField()
    tenant = serializers.UUIDField(allow_null=True)
    permissions = serializers.ListField(child=serializers.ChoiceField(choices=sorted(PERMISSIONS)))


class KeySerializer(serializers.Serializer[Any]):
    """A key without its secret; ``identifier`` is the part after ``omx_``."""

    id = serializers.UUIDField(read_only=True)
    name = serializers.CharField(read_only=True)
    identifier = serializers.CharField(read_only=True)
    permissions = serializers.ListField(child=serializers.CharField(), read_only=True)
    created_by = serializers.UUIDField(source="created_by_id", read_only=True, allow_null=True)
    created_at = serializers.DateTimeField(read_only=True)
    expires_at = serializers.DateTimeField(read_only=True, allow_null=True)
    last_used_at = serializers.DateTimeField(read_only=True, allow_null=True)
    revoked_at = serializers.DateTimeField(read_only=True, allow_null=True)


class CreatedKeySerializer(KeySerializer):
    """A new key with its text, which is shown this once."""

    secret = serializers.CharField(read_only=True)


class KeyCreateSerializer(serializers.Serializer[Any]):
    """``permissions`` are those of inference when left out, and never more than the caller's own."""

    name = serializers.CharField(max_length=100)
    permissions = serializers.ListField(
        child=serializers.ChoiceField(choices=sorted(PERMISSIONS)),
        required=False,
        allow_empty=False,
        max_length=len(PERMISSIONS),
    )
    expires_at = serializers.DateTimeField(required=False, allow_null=True)


class ProblemSerializer(serializers.Serializer[Any]):
    """RFC 9457 problem details; ``code`` is what programs go by, ``fields`` says what is wrong in which field."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField()
    fields = serializers.DictField(required=False)  # type: ignore[assignment]
