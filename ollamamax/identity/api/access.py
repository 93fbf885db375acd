"""Who can do something and why, what somebody can do and why, and the objects that rights can be granted on."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.identity import objects
from ollamamax.identity.api.base import View
from ollamamax.identity.api.serializers import OBJECT_KINDS
from ollamamax.identity.queries import access as queries
from ollamamax.identity.queries.member import get_holder
from ollamamax.identity.rights import Reason
from ollamamax.identity.roles import ON_OBJECTS, PERMISSIONS, reference

HOLDER_KINDS = ["person", "program", "key"]
REASON_SOURCES = ["role", "team_role", "grant", "team_grant", "system"]


class ObjectNameSerializer(serializers.Serializer[Any]):
    """A model, a node or a pool; ``name`` is empty for one that is gone."""

    kind = serializers.ChoiceField(choices=OBJECT_KINDS)
    id = serializers.UUIDField()
    name = serializers.CharField(allow_blank=True)


class AccessReasonSerializer(serializers.Serializer[Any]):
    """Why somebody has a permission."""

    permission = serializers.CharField()
    on = ObjectNameSerializer(allow_null=True, help_text="null: on everything in the tenant.")
    by = serializers.ChoiceField(
        choices=REASON_SOURCES,
        help_text="Their own role, that of a team, a grant, one to a team; or a key of the system's.",
    )
    role = serializers.CharField(allow_blank=True, help_text="The slug of the role that has it.")
    team = serializers.CharField(allow_blank=True, help_text="The slug of the team that it comes by.")
    pool = ObjectNameSerializer(
        allow_null=True, help_text="The pool that it was granted on, and that the object is in."
    )


class AccessHolderSerializer(serializers.Serializer[Any]):
    """``id`` is that of a membership, or of a key."""

    kind = serializers.ChoiceField(choices=HOLDER_KINDS)
    id = serializers.UUIDField()
    name = serializers.CharField()
    reasons = AccessReasonSerializer(many=True)


class WhoMaySerializer(serializers.Serializer[Any]):
    results = AccessHolderSerializer(many=True)
    left_out = serializers.IntegerField(help_text="How many more there are than are told of.")


class AccessRightsSerializer(serializers.Serializer[Any]):
    """``counts``: whether it counts now, which it does not while suspended, revoked or expired."""

    counts = serializers.BooleanField()
    reasons = AccessReasonSerializer(many=True)


class WhoMayQuestion(serializers.Serializer[Any]):
    permission = serializers.ChoiceField(choices=sorted(PERMISSIONS))
    kind = serializers.ChoiceField(
        choices=OBJECT_KINDS, required=False, help_text="Of the object, where one is asked of."
    )
    object = serializers.UUIDField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("kind" in attrs) != ("object" in attrs):
            raise serializers.ValidationError("Give the kind and the object, or neither.")
        if "kind" in attrs and attrs["permission"] not in ON_OBJECTS[attrs["kind"]]:
            raise serializers.ValidationError({"permission": [f"This is not had on a single {attrs['kind']}."]})
        return attrs


class ObjectFilters(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=OBJECT_KINDS)
    name = serializers.CharField(required=False, max_length=200, source="name__icontains", help_text="A part of it.")


class WhoMayView(View):
    permissions = {"GET": "member.view"}
    serializer_class = WhoMaySerializer
    filters = WhoMayQuestion
    pagination_class = None

    @extend_schema(operation_id="access_who", responses=WhoMaySerializer)
    def get(self, request: Request) -> Response:
        """Who has a permission, on everything or on one object, and why: people, programs and keys."""
        asked = self.asked()
        on = None
        if "kind" in asked:
            objects.require_there(asked["kind"], asked["object"])
            on = reference(asked["kind"], asked["object"])
        found = queries.who_may(asked["permission"], on)
        names = queries.names_in(reason for each in found.shown for reason in each.reasons)
        results = [
            {"kind": each.kind, "id": each.id, "name": each.name, "reasons": _told(each.reasons, names)}
            for each in found.shown
        ]
        return Response(WhoMaySerializer({"results": results, "left_out": found.left_out}).data)


class MemberAccessView(View):
    permissions = {"GET": "member.view"}
    serializer_class = AccessRightsSerializer

    @extend_schema(operation_id="members_access", responses=AccessRightsSerializer)
    def get(self, request: Request, membership_id: uuid.UUID) -> Response:
        """What a person or a program can do, and why."""
        return _shown(queries.rights_of_member(get_holder(membership_id)))


class KeyAccessView(View):
    permissions = {"GET": "key.view"}
    serializer_class = AccessRightsSerializer

    @extend_schema(operation_id="keys_access", responses=AccessRightsSerializer)
    def get(self, request: Request, key_id: uuid.UUID) -> Response:
        """What a key can do now, and why: never more than its maker."""
        return _shown(queries.rights_of_the_key(key_id))


class AccessObjectListView(View):
    permissions = {"GET": "member.view"}
    serializer_class = ObjectNameSerializer
    filters = ObjectFilters

    def get_queryset(self) -> QuerySet[Any]:
        return objects.of_kind(self.asked()["kind"])

    @extend_schema(operation_id="access_objects", responses=ObjectNameSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The objects of a kind that rights can be granted on, the newest first."""
        asked = self.asked()
        kind = asked.pop("kind")
        page = self.paginate_queryset(objects.of_kind(kind).filter(**asked)) or []
        return self.get_paginated_response(
            ObjectNameSerializer([{"kind": kind, "id": each.pk, "name": each.name} for each in page], many=True).data
        )


def _shown(found: queries.RightsNow) -> Response:
    names = queries.names_in(found.reasons)
    return Response(AccessRightsSerializer({"counts": found.counts, "reasons": _told(found.reasons, names)}).data)


def _told(reasons: Iterable[Reason], names: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            **each._asdict(),
            "on": _named(each.on, names) if each.on else None,
            "pool": _named(each.pool, names) if each.pool else None,
        }
        for each in reasons
    ]


def _named(target: str, names: Mapping[str, str]) -> dict[str, Any]:
    kind, _, id_ = target.partition(":")
    return {"kind": kind, "id": uuid.UUID(id_), "name": names.get(target, "")}
