"""The shapes of second factors and of proofs in identity's API; nothing here reads or writes."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from ollamamax.identity.actions.second_factor import MOST_NAME
from ollamamax.identity.actions.sign_in_policy import MOST_DAYS
from ollamamax.identity.api.serializers import ChangeSerializer
from ollamamax.identity.models import Passkey, TotpDevice

MOST_CREDENTIAL = 32_000
"""Characters of what a browser answers for a passkey."""


class CredentialField(serializers.JSONField):
    """What ``navigator.credentials`` answered, as JSON."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict) or len(str(data)) > MOST_CREDENTIAL:
            raise serializers.ValidationError("This is no answer of a passkey.")
        return super().to_internal_value(data)


class ProofSerializer(serializers.Serializer[Any]):
    """One of them: the password where there is no second factor, a code of an authenticator, a recovery code, or what a passkey signed."""

    password = serializers.CharField(
        max_length=1024, trim_whitespace=False, required=False, style={"input_type": "password"}
    )
    code = serializers.CharField(max_length=20, required=False)
    recovery_code = serializers.CharField(max_length=50, required=False)
    credential = CredentialField(required=False)

    def validate(self, attrs: Any) -> Any:
        if len(attrs) != 1:
            raise serializers.ValidationError("Show one proof.")
        return attrs


class PasskeyAnswerSerializer(serializers.Serializer[Any]):
    credential = CredentialField()


class PasskeyOptionsSerializer(serializers.Serializer[Any]):
    """``options`` go to ``navigator.credentials``, as JSON."""

    options = serializers.DictField()


class ConfirmationSerializer(serializers.Serializer[Any]):
    """``ways``: what its user can show; ``provider``: who vouched for them, and can again."""

    ways = serializers.ListField(
        child=serializers.ChoiceField(choices=["password", "totp", "passkey", "recovery_code"])
    )
    provider = serializers.UUIDField(allow_null=True)


class AuthenticatorSerializer(serializers.ModelSerializer[TotpDevice]):
    class Meta:
        model = TotpDevice
        fields = ["id", "name", "created_at", "used_at"]
        read_only_fields = fields


class PasskeySerializer(serializers.ModelSerializer[Passkey]):
    """``host`` is the name under which it works; ``backed_up``: its maker keeps it on several devices."""

    class Meta:
        model = Passkey
        fields = ["id", "name", "host", "backed_up", "created_at", "used_at"]
        read_only_fields = fields


class FactorsSerializer(serializers.Serializer[Any]):
    """``passkeys_work``: the browser came to a host with a name; ``has_password``: the user can confirm changes by one."""

    authenticators = AuthenticatorSerializer(many=True)
    passkeys = PasskeySerializer(many=True)
    recovery_codes = serializers.IntegerField(help_text="How many are left.")
    passkeys_work = serializers.BooleanField()
    has_password = serializers.BooleanField()


class NewAuthenticatorSerializer(serializers.Serializer[Any]):
    """``address`` is what a QR code shows; ``secret`` is for typing it in. Neither is shown again."""

    id = serializers.UUIDField()
    secret = serializers.CharField()
    address = serializers.CharField()


class AuthenticatorConfirmSerializer(serializers.Serializer[Any]):
    code = serializers.CharField(max_length=20)
    name = serializers.CharField(max_length=MOST_NAME, default="", allow_blank=True)


class PasskeyCreateSerializer(PasskeyAnswerSerializer):
    name = serializers.CharField(max_length=MOST_NAME, default="", allow_blank=True)


class RecoveryCodesSerializer(serializers.Serializer[Any]):
    """Shown this once; empty where there are codes already."""

    codes = serializers.ListField(child=serializers.CharField())


class FactorNameSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=MOST_NAME)


class SignInPolicySerializer(serializers.Serializer[Any]):
    """``factor_required_at``: from when on members need a second factor; ``null``: never."""

    factor_required_at = serializers.DateTimeField(allow_null=True)
    takes_passkeys = serializers.BooleanField()


class SignInPolicyChangeSerializer(ChangeSerializer):
    factor_required = serializers.BooleanField(required=False)
    days_to_enrol = serializers.IntegerField(min_value=0, max_value=MOST_DAYS, required=False)
    takes_passkeys = serializers.BooleanField(required=False)
