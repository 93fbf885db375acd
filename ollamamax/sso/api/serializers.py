"""What the management API takes and shows of single sign-on."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ollamamax.identity.api.filters import CreatedFilters
from ollamamax.identity.api.serializers import ChangeSerializer
from ollamamax.sso.actions.domain import PATH
from ollamamax.sso.actions.provider import SCOPES
from ollamamax.sso.actions.rule import MOST_RULES
from ollamamax.sso.api.kinds import LdapGivenSerializer, LdapShownSerializer, SamlGivenSerializer, SamlShownSerializer
from ollamamax.sso.claims import Rule
from ollamamax.sso.models import IdentityProvider

_SCOPE = r"^[\x21\x23-\x5b\x5d-\x7e]{1,100}$"
_ROLE = "The slug of a role."


class RoleRuleSerializer(serializers.Serializer[Any]):
    """Whoever has a text in `claim` that is `pattern`, where `*` stands for any text, gets `role`. The first rule that holds counts."""

    claim = serializers.CharField(
        max_length=100, help_text="A name with dots leads into objects, as realm_access.roles does."
    )
    pattern = serializers.CharField(max_length=255)
    role = serializers.CharField(max_length=63, help_text=_ROLE)


class IdentityProviderSerializer(serializers.ModelSerializer[IdentityProvider]):
    """The client's secret is written and never shown. The provider is told `redirect_uri` and `back_channel_uri`."""

    scopes = serializers.ListField(child=serializers.CharField())
    has_secret = serializers.SerializerMethodField()
    default_role = serializers.SerializerMethodField()
    rules = serializers.SerializerMethodField()
    redirect_uri = serializers.SerializerMethodField()
    back_channel_uri = serializers.SerializerMethodField()
    saml = serializers.SerializerMethodField()
    ldap = serializers.SerializerMethodField()

    class Meta:
        model = IdentityProvider
        fields = [
            "id", "kind", "name", "issuer", "client_id", "has_secret", "scopes", "email_claim", "name_claim", "default_role",
            "creates_users", "enabled", "rules", "redirect_uri", "back_channel_uri", "saml", "ldap", "created_at", "changed_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_has_secret(self, provider: IdentityProvider) -> bool:
        return bool(bytes(provider.sealed_secret))

    def get_default_role(self, provider: IdentityProvider) -> str | None:
        return provider.default_role.slug if provider.default_role else None

    def get_rules(self, provider: IdentityProvider) -> list[dict[str, str]]:
        return [{"claim": each.claim, "pattern": each.pattern, "role": each.role.slug} for each in provider.rules.all()]

    @extend_schema_field(SamlShownSerializer(allow_null=True))
    def get_saml(self, provider: IdentityProvider) -> dict[str, Any] | None:
        found = getattr(provider, "saml", None)
        return None if found is None else dict(SamlShownSerializer(found).data)

    @extend_schema_field(LdapShownSerializer(allow_null=True))
    def get_ldap(self, provider: IdentityProvider) -> dict[str, Any] | None:
        found = getattr(provider, "ldap", None)
        return None if found is None else dict(LdapShownSerializer(found).data)

    def get_redirect_uri(self, provider: IdentityProvider) -> str:
        return _address(provider, "callback")

    def get_back_channel_uri(self, provider: IdentityProvider) -> str:
        return _address(provider, "back-channel")


def _address(provider: IdentityProvider, what: str) -> str:
    return f"{settings.PUBLIC_URL.rstrip('/')}/auth/oidc/{provider.pk}/{what}"


def _rules(values: dict[str, Any]) -> dict[str, Any]:
    return values | {"rules": [Rule(**each) for each in values["rules"]]} if "rules" in values else values


class IdentityProviderChangeSerializer(ChangeSerializer):
    name = serializers.CharField(max_length=100, required=False)
    issuer = serializers.CharField(max_length=1000, required=False, help_text="Exactly as the provider names itself.")
    client_id = serializers.CharField(max_length=255, required=False)
    client_secret = serializers.CharField(
        max_length=1000, required=False, allow_blank=True, write_only=True, help_text="Empty for a public client."
    )
    scopes = serializers.ListField(
        child=serializers.RegexField(_SCOPE, max_length=100), required=False, max_length=20, help_text=" ".join(SCOPES)
    )
    email_claim = serializers.CharField(max_length=100, required=False)
    name_claim = serializers.CharField(max_length=100, required=False)
    default_role = serializers.CharField(
        max_length=63,
        required=False,
        allow_null=True,
        help_text=f"{_ROLE} Of those that no rule names; null refuses them.",
    )
    creates_users = serializers.BooleanField(required=False)
    enabled = serializers.BooleanField(required=False)
    rules = serializers.ListField(child=RoleRuleSerializer(), required=False, max_length=MOST_RULES)
    saml = SamlGivenSerializer(required=False)
    ldap = LdapGivenSerializer(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return _rules(super().validate(attrs))


class IdentityProviderCreateSerializer(IdentityProviderChangeSerializer):
    """By OpenID Connect it needs `issuer` and `client_id`, by SAML `saml`. A directory needs `ldap`, with `issuer` for the base below which its
    people are, and `client_id` and `client_secret` for the account that asks it."""

    kind = serializers.ChoiceField(choices=IdentityProvider.Kind.choices, required=False)
    name = serializers.CharField(max_length=100)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        found = super().validate(attrs)
        kind = found.get("kind", IdentityProvider.Kind.OIDC)
        if kind != IdentityProvider.Kind.SAML:
            needed = ("issuer", "client_id") + (("client_secret",) if kind == IdentityProvider.Kind.LDAP else ())
            missing = [name for name in needed if not found.get(name)]
            if missing:
                raise serializers.ValidationError({name: ["This field is required."] for name in missing})
        return found


class IdentityProviderFilters(CreatedFilters):
    name = serializers.CharField(required=False, max_length=100, source="name__icontains", help_text="A part of it.")
    enabled = serializers.BooleanField(required=False, allow_null=True, default=None)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        wanted = attrs.pop("enabled", None)
        return attrs if wanted is None else attrs | {"enabled": wanted}


class DryRunCreateSerializer(serializers.Serializer[Any]):
    """Rules to try; what is left out is as the provider has it."""

    rules = serializers.ListField(child=RoleRuleSerializer(), required=False, max_length=MOST_RULES)
    default_role = serializers.CharField(max_length=63, required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return _rules(attrs)


class RoleChangePreviewSerializer(serializers.Serializer[Any]):
    user = serializers.UUIDField()
    email = serializers.EmailField()
    subject = serializers.CharField()
    role_now = serializers.CharField(help_text="Empty for who is refused now.")
    role_then = serializers.CharField(help_text="Empty for who would be refused.")
    rule = serializers.IntegerField(allow_null=True, help_text="The place of the rule that says so, from 0.")
    kept_here = serializers.BooleanField(help_text="The membership is not kept by single sign-on: no rule changes it.")


class DryRunSerializer(serializers.Serializer[Any]):
    """Of the `known` people that have logged in by this provider, `changed` would get another role; `changes` has the first 500."""

    known = serializers.IntegerField()
    changed = serializers.IntegerField()
    changes = RoleChangePreviewSerializer(many=True)


class LeadSerializer(serializers.Serializer[Any]):
    url = serializers.CharField(help_text="Where the browser goes now.")


class ProviderTestSerializer(serializers.Serializer[Any]):
    """What the last test of this session received. `why` is empty where all went well."""

    at = serializers.FloatField(help_text="Unix seconds.")
    subject = serializers.CharField()
    claims = serializers.DictField()
    role = serializers.CharField(help_text="What the rules give now; empty for none.")
    rule = serializers.IntegerField(allow_null=True)
    why = serializers.CharField()
    detail = serializers.CharField()
    said = serializers.CharField(help_text="The provider's own error code.")


class EmailDomainSerializer(serializers.Serializer[Any]):
    """A domain counts from `verified_at` on: show `token`, alone, at `url`, or ask whoever runs the installation."""

    id = serializers.UUIDField()
    domain = serializers.CharField()
    token = serializers.CharField()
    url = serializers.SerializerMethodField()
    verified_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()

    def get_url(self, domain: Any) -> str:
        return f"https://{domain.domain}{PATH}"


class EmailDomainCreateSerializer(serializers.Serializer[Any]):
    domain = serializers.CharField(max_length=253)


class EmailDomainFilters(CreatedFilters):
    domain = serializers.CharField(required=False, max_length=253)


class SsoPolicySerializer(serializers.Serializer[Any]):
    """`enforced`: members act in the tenant only when they came by one of its identity providers; break-glass accounts apart."""

    enforced = serializers.BooleanField(source="sso_enforced")
    log_in_url = serializers.SerializerMethodField()

    def get_log_in_url(self, tenant: Any) -> str:
        return f"{settings.PUBLIC_URL.rstrip('/')}/log-in/{tenant.slug}"


class SsoPolicyChangeSerializer(ChangeSerializer):
    enforced = serializers.BooleanField()


class BreakGlassSerializer(serializers.Serializer[Any]):
    """A member whose password is taken, though the tenant asks for single sign-on."""

    id = serializers.UUIDField()
    user = serializers.UUIDField(source="user_id")
    email = serializers.EmailField(source="user.email")
    created_at = serializers.DateTimeField()


class BreakGlassCreateSerializer(serializers.Serializer[Any]):
    member = serializers.UUIDField(help_text="The id of a membership.")


class BreakGlassFilters(CreatedFilters):
    email = serializers.CharField(required=False, max_length=254, source="user__email__iexact")


class DoorsCreateSerializer(serializers.Serializer[Any]):
    """One of both."""

    tenant = serializers.CharField(max_length=63, required=False, help_text="The slug of a tenant.")
    email = serializers.CharField(max_length=254, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs) != 1:
            raise serializers.ValidationError("Name a tenant or an e-mail address.")
        return attrs


class DoorSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    tenant = serializers.CharField()
    url = serializers.SerializerMethodField()

    def get_url(self, door: Any) -> str:
        return f"/auth/sso/{door.id}/begin"


class DoorsSerializer(serializers.Serializer[Any]):
    """The identity providers to log in by; none for what nobody knows."""

    results = DoorSerializer(many=True)


class PendingLinkSerializer(serializers.Serializer[Any]):
    """An identity that waits for the password of the account with its address."""

    email = serializers.EmailField()
    provider = serializers.CharField(source="provider.name")


class LinkByPasswordSerializer(serializers.Serializer[Any]):
    password = serializers.CharField(max_length=1000, trim_whitespace=False)


class OwnIdentitySerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    provider = serializers.CharField(source="provider.name")
    subject = serializers.CharField()
    created_at = serializers.DateTimeField()
    seen_at = serializers.DateTimeField()


class OwnIdentitiesSerializer(serializers.Serializer[Any]):
    results = OwnIdentitySerializer(many=True)


class LinkCreateSerializer(serializers.Serializer[Any]):
    provider = serializers.UUIDField()
