"""What the management API takes and shows of provisioning."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from ollamamax.provisioning.actions.token import LONGEST_DAYS, LONGEST_OVERLAP_HOURS


class ScimTokenSerializer(serializers.Serializer[Any]):
    """`used_at` is exact to a minute."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    created_at = serializers.DateTimeField()
    created_by_name = serializers.CharField()
    expires_at = serializers.DateTimeField(allow_null=True)
    used_at = serializers.DateTimeField(allow_null=True)


class IssuedScimTokenSerializer(ScimTokenSerializer):
    """`token` is shown this once."""

    token = serializers.CharField()


class ScimTokenCreateSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=100)
    expires_in_days = serializers.IntegerField(
        min_value=1, max_value=LONGEST_DAYS, required=False, allow_null=True, help_text="Never, when left out."
    )


class ScimTokenRotateSerializer(serializers.Serializer[Any]):
    overlap_hours = serializers.IntegerField(
        min_value=0, max_value=LONGEST_OVERLAP_HOURS, help_text="How long the token before is taken besides."
    )


class DirectoryStatusSerializer(serializers.Serializer[Any]):
    """What the directory has told so far. `without_account` counts its active users that have no membership, by why."""

    url = serializers.CharField(help_text="The address to enter at the identity provider.")
    users = serializers.IntegerField()
    active = serializers.IntegerField()
    members = serializers.IntegerField()
    groups = serializers.IntegerField()
    without_account = serializers.DictField(child=serializers.IntegerField())
    tokens = ScimTokenSerializer(many=True)
