"""The shapes of the webhooks' API; nothing here reads or writes."""

from __future__ import annotations

import json
from typing import Any

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema_field
from rest_framework import serializers

from ollamamax.identity.api.serializers import ChangeSerializer
from ollamamax.notifications.actions.webhook import MOST_EVENTS, MOST_OVERLAP
from ollamamax.notifications.attempts import MOST_KEPT
from ollamamax.notifications.events import MOST_PATTERN
from ollamamax.notifications.models import Webhook, WebhookDelivery
from ollamamax.outbound.addresses import MOST_URL

_EVENTS_HELP = "Types as `key.issue`, groups as `key.*`, or `*` for all."


class WebhookSerializer(serializers.ModelSerializer[Webhook]):
    """``failing_since`` is null while attempts succeed; ``waiting`` is how many deliveries are still to be made."""

    events = serializers.ListField(child=serializers.CharField())
    waiting = serializers.IntegerField()
    rotating_until = serializers.DateTimeField(
        source="previous_until",
        allow_null=True,
        help_text="Until when the secret before the last rotation signs besides.",
    )

    class Meta:
        model = Webhook
        fields = [
            *("id", "url", "description", "events", "enabled", "disabled_reason", "rotating_until", "created_by"),
            *("created_by_name", "created_at", "failing_since", "failures", "tried_at", "succeeded_at", "waiting"),
        ]
        read_only_fields = fields


class CreatedWebhookSerializer(WebhookSerializer):
    """A webhook with its secret (`whsec_...`), which is shown this once."""

    secret = serializers.CharField(read_only=True)

    class Meta(WebhookSerializer.Meta):
        fields = [*WebhookSerializer.Meta.fields, "secret"]
        read_only_fields = fields


def _events(**given: Any) -> serializers.ListField:
    child = serializers.CharField(max_length=MOST_PATTERN)
    return serializers.ListField(
        child=child, allow_empty=False, max_length=MOST_EVENTS, help_text=_EVENTS_HELP, **given
    )


class WebhookCreateSerializer(serializers.Serializer[Any]):
    """Events of the audit trail need the permission audit.view, those of health node.view."""

    url = serializers.CharField(
        max_length=MOST_URL, help_text="https:// and a public address, unless the operator allows more."
    )
    events = _events()
    description = serializers.CharField(max_length=200, required=False, allow_blank=True)


class WebhookChangeSerializer(ChangeSerializer):
    url = serializers.CharField(max_length=MOST_URL, required=False)
    events = _events(required=False)
    description = serializers.CharField(max_length=200, required=False, allow_blank=True)
    enabled = serializers.BooleanField(required=False)


class WebhookRotationSerializer(serializers.Serializer[Any]):
    overlap_seconds = serializers.IntegerField(
        min_value=0,
        max_value=int(MOST_OVERLAP.total_seconds()),
        default=86_400,
        help_text="For so long the secret before signs besides; 0 ends it at once.",
    )


class TriedSerializer(serializers.Serializer[Any]):
    """One attempt. ``status`` is null where no answer came; ``error`` then says why. ``excerpt`` is how the answer begins."""

    at = serializers.DateTimeField()
    took_ms = serializers.FloatField()
    status = serializers.IntegerField(allow_null=True)
    error = serializers.CharField()
    excerpt = serializers.CharField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return {"status": None, "error": "", "excerpt": "", **instance}


class WebhookDeliverySerializer(serializers.ModelSerializer[WebhookDelivery]):
    """``event`` is the id that the receiver has as `webhook-id`; ``tries`` counts attempts since it was asked for last."""

    event = serializers.UUIDField(source="event_id")
    type = serializers.CharField(source="event.type")
    at = serializers.DateTimeField(source="event.at", help_text="When it happened.")
    next_at = serializers.SerializerMethodField(help_text="When it is tried again; null for one that is over.")
    last = serializers.SerializerMethodField(help_text="The last attempt.")

    class Meta:
        model = WebhookDelivery
        fields = ["id", "event", "type", "at", "state", "tries", "next_at", "created_at", "ended_at", "last"]
        read_only_fields = fields

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_next_at(self, delivery: WebhookDelivery) -> Any:
        return delivery.next_at if delivery.state == WebhookDelivery.State.WAITING else None

    @extend_schema_field(TriedSerializer(allow_null=True))
    def get_last(self, delivery: WebhookDelivery) -> Any:
        return TriedSerializer(delivery.attempts[-1]).data if delivery.attempts else None


class EventActorSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(["user", "key", "node", "system"])
    id = serializers.CharField()
    name = serializers.CharField()


class EventTargetSerializer(serializers.Serializer[Any]):
    type = serializers.CharField()
    id = serializers.CharField()


class AuditEventSerializer(serializers.Serializer[Any]):
    """Of an action: ``seq`` is the number of its audit record, ``detail`` what that says besides."""

    seq = serializers.IntegerField()
    actor = EventActorSerializer()
    target = EventTargetSerializer()
    request = serializers.CharField()
    detail = serializers.DictField()


class EventSubjectSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(["fleet", "node", "model"])
    id = serializers.CharField()
    name = serializers.CharField()
    region = serializers.CharField()


class HealthEventSerializer(serializers.Serializer[Any]):
    """Of a finding that was opened, changed its severity, or was closed; ``values`` are what was measured."""

    subject = EventSubjectSerializer()
    code = serializers.CharField()
    severity = serializers.ChoiceField(["critical", "warning", "notice"])
    text = serializers.CharField()
    since = serializers.DateTimeField()
    values = serializers.DictField()


class TestEventSerializer(serializers.Serializer[Any]):
    message = serializers.CharField()


class WebhookPayloadSerializer(serializers.Serializer[Any]):
    """What a webhook is sent as its body. ``tenant`` is null for what belongs to the installation."""

    type = serializers.CharField()
    timestamp = serializers.DateTimeField()
    tenant = serializers.CharField(allow_null=True)
    data = serializers.SerializerMethodField()  # type: ignore[assignment]  # a field of that name, which a form has too

    @extend_schema_field(
        PolymorphicProxySerializer(
            component_name="WebhookData",
            serializers=[AuditEventSerializer, HealthEventSerializer, TestEventSerializer],
            resource_type_field_name=None,
        )
    )
    def get_data(self, payload: dict[str, Any]) -> Any:
        return payload["data"]


class WebhookDeliveryDetailSerializer(WebhookDeliverySerializer):
    """With the body as it is sent, and the last attempts."""

    attempts = serializers.SerializerMethodField(help_text=f"The last {MOST_KEPT}, the oldest first.")
    body = serializers.CharField(source="event.body", help_text="The very text that is signed.")
    payload = serializers.SerializerMethodField()

    class Meta(WebhookDeliverySerializer.Meta):
        fields = [*WebhookDeliverySerializer.Meta.fields, "attempts", "body", "payload"]
        read_only_fields = fields

    @extend_schema_field(TriedSerializer(many=True))
    def get_attempts(self, delivery: WebhookDelivery) -> Any:
        return TriedSerializer(delivery.attempts, many=True).data

    @extend_schema_field(WebhookPayloadSerializer)
    def get_payload(self, delivery: WebhookDelivery) -> Any:
        return json.loads(delivery.event.body)


class WebhookEventGroupSerializer(serializers.Serializer[Any]):
    group = serializers.CharField()
    events = serializers.ListField(child=serializers.CharField())


class WebhookEventsSerializer(serializers.Serializer[Any]):
    """What there is to choose from; the audit trail may have actions besides, which can be named too."""

    groups = WebhookEventGroupSerializer(many=True)


class WebhookFilters(serializers.Serializer[Any]):
    url = serializers.CharField(required=False, max_length=200, source="url__icontains", help_text="A part of it.")
    enabled = serializers.BooleanField(required=False, allow_null=True, default=None)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        enabled = attrs.pop("enabled", None)
        return attrs if enabled is None else attrs | {"enabled": enabled}


class WebhookDeliveryFilters(serializers.Serializer[Any]):
    state = serializers.ChoiceField(WebhookDelivery.State.choices, required=False)
    type = serializers.CharField(required=False, max_length=64, source="event__type")
