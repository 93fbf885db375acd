"""What the management API takes and shows of providers of one kind alone."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from ollamamax.sso.queries.saml import saml_address
from ollamamax.sso.saml.metadata import MOST_METADATA


class SamlShownSerializer(serializers.Serializer[Any]):
    """What a provider that speaks SAML has besides. It is told our `metadata_uri`, or `acs_uri` and `log_out_uri`, and calls us `client_id`."""

    metadata_url = serializers.CharField(help_text="Where its metadata are read; empty where they were given.")
    sso_url = serializers.CharField()
    slo_url = serializers.CharField(help_text="Empty where it has no log-out.")
    certificates = serializers.ListField(child=serializers.CharField(), help_text="In base64; all of them count.")
    subject_claim = serializers.CharField()
    unsolicited = serializers.BooleanField()
    encrypted = serializers.BooleanField()
    read_at = serializers.DateTimeField()
    metadata_uri = serializers.SerializerMethodField()
    acs_uri = serializers.SerializerMethodField()
    log_out_uri = serializers.SerializerMethodField()

    def get_metadata_uri(self, row: Any) -> str:
        return saml_address(row.provider, "metadata")

    def get_acs_uri(self, row: Any) -> str:
        return saml_address(row.provider, "acs")

    def get_log_out_uri(self, row: Any) -> str:
        return saml_address(row.provider, "log-out")


class SamlGivenSerializer(serializers.Serializer[Any]):
    """The provider's metadata, or where they are; with neither, those that are known stay."""

    metadata = serializers.CharField(max_length=MOST_METADATA, required=False, help_text="XML.")
    metadata_url = serializers.CharField(max_length=2000, required=False)
    subject_claim = serializers.CharField(
        max_length=100,
        required=False,
        allow_blank=True,
        help_text="The claim that a person is known by; empty for a persistent NameID, `name_id` for one of any other format.",
    )
    unsolicited = serializers.BooleanField(
        required=False, help_text="Whether the provider may begin a log-in that nobody asked for here."
    )
    encrypted = serializers.BooleanField(
        required=False, help_text="Whether assertions that are not encrypted are refused."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("metadata") and attrs.get("metadata_url"):
            raise serializers.ValidationError("Give the metadata or their address, and not both.")
        return attrs


class LdapShownSerializer(serializers.Serializer[Any]):
    """What a directory has besides. `issuer` is the base below which its people are, `client_id` the account that asks it."""

    addresses = serializers.ListField(child=serializers.CharField())
    ca = serializers.CharField(help_text="Certificates in PEM that its own are of; empty for the system's.")
    user_filter = serializers.CharField()
    subject_attribute = serializers.CharField()
    group_base = serializers.CharField(help_text="Empty where memberOf says the groups.")
    group_filter = serializers.CharField()
    asked_at = serializers.DateTimeField(allow_null=True)
    synced_at = serializers.DateTimeField(allow_null=True, help_text="When everybody known was last looked up.")
    sync_error = serializers.CharField(help_text="Why that failed the last time; empty where it did not.")


class LdapGivenSerializer(serializers.Serializer[Any]):
    """What is left out stays as it is."""

    addresses = serializers.ListField(
        child=serializers.CharField(max_length=255),
        required=False,
        min_length=1,
        max_length=5,
        help_text="ldaps://host:port, or ldap://host:port, where TLS begins by StartTLS. The first that answers is asked.",
    )
    ca = serializers.CharField(max_length=65536, required=False, allow_blank=True, help_text="PEM.")
    user_filter = serializers.CharField(
        max_length=1000, required=False, help_text="Finds one person; holds {login}, what they enter as their name."
    )
    subject_attribute = serializers.RegexField(
        r"^[A-Za-z][A-Za-z0-9;.-]*$",
        max_length=100,
        required=False,
        help_text="Names one person for good: entryUUID, or objectGUID of Active Directory.",
    )
    group_base = serializers.CharField(
        max_length=1000, required=False, allow_blank=True, help_text="Empty: memberOf says the groups."
    )
    group_filter = serializers.CharField(
        max_length=1000, required=False, allow_blank=True, help_text="Finds the groups of one person; holds {dn}."
    )
