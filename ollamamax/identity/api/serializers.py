"""The shapes of identity's API; nothing here reads or writes."""

from __future__ import annotations

import datetime
from typing import Any

from rest_framework import serializers

from ollamamax.identity.api.fields import Number
from ollamamax.identity.models import Membership, Priority, Role, User
from ollamamax.identity.models.limits import LIMITS, MOST
from ollamamax.identity.models.tenant import LEAST_WEIGHT, MOST_PROMPT_DAYS, MOST_WEIGHT
from ollamamax.identity.roles import ON_OBJECTS, PERMISSIONS
from ollamamax.identity.sessions import FACTORS, METHODS
from ollamamax.kernel.reach import (
    LONGEST_MODEL,
    LONGEST_ROUTE,
    MOST_ADDRESSES,
    MOST_MODELS,
    MOST_ROUTES,
    checked_reach,
)


class ChangeSerializer(serializers.Serializer[Any]):
    """Fields to change, all of them optional: at least one, and none that cannot be changed here."""

    def to_internal_value(self, data: Any) -> Any:
        unknown = sorted(set(data) - set(self.fields)) if isinstance(data, dict) else []
        if unknown:
            raise serializers.ValidationError({name: ["This cannot be changed here."] for name in unknown})
        return super().to_internal_value(data)

    def validate(self, attrs: Any) -> Any:
        if not attrs:
            raise serializers.ValidationError("Name at least one field to change.")
        return attrs


def _limit(help_text: str = "") -> serializers.IntegerField:
    return serializers.IntegerField(
        min_value=1, max_value=MOST, required=False, allow_null=True, help_text=help_text or None
    )


class LimitsSerializer(serializers.Serializer[Any]):
    """``null`` is no limit. To change limits, one that is left out stays as it is."""

    requests_per_minute = _limit()
    tokens_per_minute = _limit()
    concurrent_requests = _limit()
    input_tokens_per_minute = _limit()
    output_tokens_per_minute = _limit()
    context_tokens = _limit("Of a prompt and its answer together.")
    output_tokens = _limit("Of one answer; a longer one ends there.")

    def to_internal_value(self, data: Any) -> Any:
        unknown = sorted(set(data) - set(LIMITS)) if isinstance(data, dict) else []
        if unknown:
            raise serializers.ValidationError({name: ["There is no such limit."] for name in unknown})
        return super().to_internal_value(data)


class ReachSerializer(serializers.Serializer[Any]):
    """Where and for what a key may be used. An empty list sets no bound; what is left out is empty."""

    addresses = serializers.ListField(
        child=serializers.CharField(max_length=50),
        default=list,
        max_length=MOST_ADDRESSES,
        help_text="Networks or addresses, such as 10.0.0.0/8 and 2001:db8::1.",
    )
    routes = serializers.ListField(
        child=serializers.CharField(max_length=LONGEST_ROUTE),
        default=list,
        max_length=MOST_ROUTES,
        help_text="Paths, such as /v1/chat/completions; /v1/* means all below it. /api/* leaves out /api/v1.",
    )
    models = serializers.ListField(
        child=serializers.CharField(max_length=LONGEST_MODEL),
        default=list,
        max_length=MOST_MODELS,
        help_text="Names of models, such as llama3:8b; * stands for anything.",
    )

    def validate(self, attrs: Any) -> Any:
        return checked_reach(attrs["addresses"], attrs["routes"], attrs["models"])


class UserSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    email = serializers.EmailField()
    name = serializers.SerializerMethodField(help_text="How to show the user: by name, or else by email address.")

    def get_name(self, user: User) -> str:
        return user.name or user.email


class TenantSerializer(serializers.Serializer[Any]):
    """A tenant, and the user's role in it."""

    id = serializers.UUIDField()
    slug = serializers.CharField()
    name = serializers.CharField()
    role = serializers.CharField(help_text="The slug of the role.")


class LeavingTenantSerializer(serializers.Serializer[Any]):
    """A tenant of the user that is to be deleted: nobody acts in it. Its owners may take that back, and take its data with them."""

    id = serializers.UUIDField()
    slug = serializers.CharField()
    name = serializers.CharField()
    is_owner = serializers.BooleanField()
    deletes_at = serializers.DateTimeField()


class Moment(serializers.DateTimeField):
    """Unix seconds, shown as the rest of the API shows times."""

    def to_representation(self, value: Any) -> str:
        return str(super().to_representation(datetime.datetime.fromtimestamp(value, datetime.UTC)))


class HowLoggedInSerializer(serializers.Serializer[Any]):
    """``provider`` names who vouched for the user; empty for this installation itself. ``factor``: what they proved besides."""

    method = serializers.ChoiceField(choices=METHODS)
    provider = serializers.CharField(allow_blank=True)
    at = Moment()
    factor = serializers.ChoiceField(choices=FACTORS, allow_blank=True)


class WaitsForFactorSerializer(serializers.Serializer[Any]):
    """What whose password was right can show besides."""

    ways = serializers.ListField(
        child=serializers.ChoiceField(choices=["password", "totp", "passkey", "recovery_code"])
    )


class FactorWantedSerializer(serializers.Serializer[Any]):
    """A tenant asks the user, who has no second factor, for one: from ``at`` on they do not act in it without."""

    tenant = serializers.CharField()
    at = serializers.DateTimeField()


class EnterTenantSerializer(serializers.Serializer[Any]):
    tenant = serializers.UUIDField()


class SessionSerializer(serializers.Serializer[Any]):
    """Who is logged in with this cookie. ``tenant`` is the one the session acts in; ``factor``: a password was right, and this is still to
    come; ``factor_wanted``: what to set up, and until when."""

    authenticated = serializers.BooleanField()
    user = UserSerializer(allow_null=True)
    log_in = HowLoggedInSerializer(allow_null=True)
    factor = WaitsForFactorSerializer(allow_null=True)
    factor_wanted = FactorWantedSerializer(allow_null=True)
    tenant = TenantSerializer(allow_null=True)
    tenants = TenantSerializer(many=True)
    leaving = LeavingTenantSerializer(many=True)
    mail = serializers.BooleanField(help_text="Whether this installation sends mail, as for a new password.")
    permissions = serializers.ListField(child=serializers.ChoiceField(choices=sorted(PERMISSIONS)))


class LogInSerializer(serializers.Serializer[Any]):
    email = serializers.CharField(max_length=254)
    password = serializers.CharField(max_length=1024, trim_whitespace=False, style={"input_type": "password"})


class LeakedKeySerializer(serializers.Serializer[Any]):
    key = serializers.CharField(max_length=200, help_text="The whole text of the key.")


class MeSerializer(serializers.Serializer[Any]):
    """Who is calling, and what they may do."""

    kind = serializers.ChoiceField(choices=["user", "key"])
    id = serializers.UUIDField()
    name = serializers.CharField()
    tenant = serializers.UUIDField(allow_null=True)
    permissions = serializers.ListField(child=serializers.ChoiceField(choices=sorted(PERMISSIONS)))


MOST_OVERLAP_SECONDS = 30 * 86_400
_STRICT = "Whether inference refuses fields that nobody knows; null: as the tenant says."


class KeySerializer(serializers.Serializer[Any]):
    """A key without its secret; ``identifier`` is the part after ``omx_``."""

    id = serializers.UUIDField(read_only=True)
    name = serializers.CharField(read_only=True)
    identifier = serializers.CharField(read_only=True)
    has_secret = serializers.BooleanField(read_only=True, help_text="Not where it is a workload's.")
    permissions = serializers.ListField(child=serializers.CharField(), read_only=True)
    limits = LimitsSerializer(source="*", read_only=True)
    priority = serializers.ChoiceField(Priority.choices, read_only=True, help_text="The highest class it may ask for.")
    strict_fields = serializers.BooleanField(read_only=True, allow_null=True, help_text=_STRICT)
    reach = ReachSerializer(read_only=True)
    created_by = serializers.UUIDField(
        source="created_by_id",
        read_only=True,
        allow_null=True,
        help_text="null where the system made it, or its maker was removed.",
    )
    created_by_name = serializers.CharField(
        read_only=True, help_text="The email address that its maker had then; empty where the system made it."
    )
    created_at = serializers.DateTimeField(read_only=True)
    expires_at = serializers.DateTimeField(read_only=True, allow_null=True)
    last_used_at = serializers.DateTimeField(read_only=True, allow_null=True)
    rotated_at = serializers.DateTimeField(read_only=True, allow_null=True)
    previous_until = serializers.DateTimeField(
        read_only=True, allow_null=True, help_text="Until when the text before its last rotation works besides."
    )
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
    limits = LimitsSerializer(required=False)
    priority = serializers.ChoiceField(
        choices=Priority.choices, required=False, help_text="high needs the permission member.manage"
    )
    strict_fields = serializers.BooleanField(required=False, allow_null=True, help_text=_STRICT)
    reach = ReachSerializer(required=False)
    service_account = serializers.UUIDField(
        required=False, help_text="Whose key it is, instead of the caller's: it may what that program may."
    )


class KeyRotationSerializer(serializers.Serializer[Any]):
    overlap_seconds = serializers.IntegerField(
        min_value=0,
        max_value=MOST_OVERLAP_SECONDS,
        default=86_400,
        help_text="For so long the text before works besides; 0 ends it at once.",
    )


class KeyChangeSerializer(ChangeSerializer):
    name = serializers.CharField(max_length=100, required=False)
    permissions = serializers.ListField(
        child=serializers.ChoiceField(choices=sorted(PERMISSIONS)),
        required=False,
        allow_empty=False,
        max_length=len(PERMISSIONS),
        help_text="All that it may do from now on; never more than the caller's own, besides what it has.",
    )
    expires_at = serializers.DateTimeField(required=False, allow_null=True)
    limits = LimitsSerializer(required=False)
    priority = serializers.ChoiceField(
        choices=Priority.choices, required=False, help_text="high needs the permission member.manage"
    )
    strict_fields = serializers.BooleanField(required=False, allow_null=True, help_text=_STRICT)
    reach = ReachSerializer(required=False, help_text="All of it from now on.")


class TenantDetailSerializer(serializers.Serializer[Any]):
    """``weight`` is the tenant's share of what all wait for; ``is_operator``: it runs this installation."""

    id = serializers.UUIDField(read_only=True)
    slug = serializers.CharField(read_only=True)
    name = serializers.CharField(read_only=True)
    weight = serializers.FloatField(read_only=True)
    limits = LimitsSerializer(source="*", read_only=True)
    show_route = serializers.BooleanField(
        read_only=True, help_text="Whether responses say in headers which node served them, and why."
    )
    store_responses = serializers.BooleanField(
        read_only=True, help_text="Whether answers of /v1/responses are kept, where the request does not say otherwise."
    )
    strict_fields = serializers.BooleanField(
        read_only=True, help_text="Whether OpenAI's and Anthropic's protocols refuse fields that nobody knows."
    )
    prompt_days = serializers.IntegerField(
        read_only=True, help_text="For how many days prompts are kept, sealed; 0: none are."
    )
    is_operator = serializers.BooleanField(read_only=True)
    suspended_at = serializers.DateTimeField(
        read_only=True, allow_null=True, help_text="Since when its keys and people are refused."
    )
    deletes_at = serializers.DateTimeField(
        read_only=True,
        allow_null=True,
        help_text="From when on everything of it is removed, where its deletion was asked for.",
    )
    may_join_nodes = serializers.BooleanField(
        read_only=True, help_text="Whether hosts may become its nodes; those of the operator always may."
    )
    created_at = serializers.DateTimeField(read_only=True)


class OwnTenantChangeSerializer(ChangeSerializer):
    name = serializers.CharField(max_length=200, required=False)
    show_route = serializers.BooleanField(required=False)
    store_responses = serializers.BooleanField(required=False)
    strict_fields = serializers.BooleanField(required=False)
    prompt_days = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=MOST_PROMPT_DAYS,
        help_text="0: prompts are not kept, and those that were are deleted within a minute.",
    )


class TenantChangeSerializer(ChangeSerializer):
    name = serializers.CharField(max_length=200, required=False)
    show_route = serializers.BooleanField(required=False)
    store_responses = serializers.BooleanField(required=False)
    strict_fields = serializers.BooleanField(required=False)
    weight = Number(min_value=LEAST_WEIGHT, max_value=MOST_WEIGHT, required=False)
    may_join_nodes = serializers.BooleanField(
        required=False, help_text="Whether hosts may become its nodes. A node reaches this installation's Redis."
    )
    limits = LimitsSerializer(required=False)


class TenantDeletionSerializer(serializers.Serializer[Any]):
    slug = serializers.CharField(
        max_length=63, help_text="The tenant's own, typed again: nothing is deleted by mistake."
    )


class TenantCreateSerializer(serializers.Serializer[Any]):
    slug = serializers.RegexField(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    name = serializers.CharField(max_length=200)


_PERMISSIONS = sorted(PERMISSIONS)
MEMBER_STATES = ["active", "suspended"]
"""Those that somebody can give."""
OBJECT_KINDS = sorted(ON_OBJECTS)


class RoleSerializer(serializers.ModelSerializer[Role]):
    """A named set of permissions. Those of the system are the same in every tenant, and no tenant changes them."""

    permissions = serializers.ListField(child=serializers.CharField())
    is_system = serializers.BooleanField()

    class Meta:
        model = Role
        fields = ["id", "slug", "name", "permissions", "is_system", "created_at", "changed_at"]
        read_only_fields = fields


def _permissions(**given: Any) -> serializers.ListField:
    return serializers.ListField(
        child=serializers.ChoiceField(choices=_PERMISSIONS), max_length=len(_PERMISSIONS), **given
    )


class RoleCreateSerializer(serializers.Serializer[Any]):
    """``permissions`` are never more than the caller's own."""

    slug = serializers.RegexField(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    name = serializers.CharField(max_length=100)
    permissions = _permissions()


class RoleChangeSerializer(ChangeSerializer):
    name = serializers.CharField(max_length=100, required=False)
    permissions = _permissions(required=False)


class MemberSerializer(serializers.ModelSerializer[Membership]):
    """A user in the caller's tenant. Rights come from active memberships only."""

    email = serializers.EmailField(source="user.email")
    name = serializers.CharField(source="user.name")
    role = serializers.CharField(source="role.slug", help_text="The slug of the role.")
    last_log_in_method = serializers.CharField(
        help_text="As `password` or `oidc`; empty for who has not been here yet."
    )

    class Meta:
        model = Membership
        fields = [
            *("id", "user", "email", "name", "role", "state", "source", "external_id", "last_log_in_at"),
            *("last_log_in_method", "created_at", "changed_at"),
        ]
        read_only_fields = fields


class MemberChangeSerializer(ChangeSerializer):
    role = serializers.CharField(max_length=63, required=False, help_text="The slug of a role.")
    state = serializers.ChoiceField(choices=MEMBER_STATES, required=False)


class GrantSerializer(serializers.Serializer[Any]):
    """A permission that a member, a person or a program, has on one object."""

    id = serializers.UUIDField(read_only=True)
    member = serializers.UUIDField(source="membership_id", read_only=True)
    email = serializers.CharField(source="user.email", read_only=True)
    permission = serializers.CharField(source="permission.codename", read_only=True)
    kind = serializers.CharField(source="content_type.model", read_only=True)
    object = serializers.UUIDField(source="object_pk", read_only=True)
    created_at = serializers.DateTimeField(read_only=True)


class ObjectGrantSerializer(serializers.Serializer[Any]):
    permission = serializers.ChoiceField(choices=sorted(frozenset().union(*ON_OBJECTS.values())))
    kind = serializers.ChoiceField(choices=OBJECT_KINDS)
    object = serializers.UUIDField()


class GrantCreateSerializer(ObjectGrantSerializer):
    member = serializers.UUIDField(help_text="The id of a membership, of a person or a program.")
