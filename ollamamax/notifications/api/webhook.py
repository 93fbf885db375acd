"""Webhooks of the caller's tenant."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.identity.api.base import View
from ollamamax.notifications.actions.webhook import (
    change_webhook,
    create_webhook,
    delete_webhook,
    rotate_webhook,
    send_test_event,
)
from ollamamax.notifications.api.serializers import (
    CreatedWebhookSerializer,
    WebhookChangeSerializer,
    WebhookCreateSerializer,
    WebhookDeliverySerializer,
    WebhookEventsSerializer,
    WebhookFilters,
    WebhookRotationSerializer,
    WebhookSerializer,
)
from ollamamax.notifications.events import GROUPS
from ollamamax.notifications.models import Webhook
from ollamamax.notifications.queries.webhook import get_webhook, webhooks


class WebhookListView(View):
    permissions = {"GET": "webhook.manage", "POST": "webhook.manage"}
    serializer_class = WebhookSerializer
    filters = WebhookFilters
    orderings = {"created_at": "created_at", "url": "url"}
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return webhooks()

    @extend_schema(operation_id="webhooks_list", responses=WebhookSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The tenant's webhooks, the newest first."""
        return self.listing(self.get_queryset(), WebhookSerializer)

    @extend_schema(
        operation_id="webhooks_create", request=WebhookCreateSerializer, responses={201: CreatedWebhookSerializer}
    )
    def post(self, request: Request) -> Response:
        """Have an address told of events from now on. Its secret is in this answer and never again."""
        given = WebhookCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return _with_secret(*create_webhook(acting=self.acting, **given.validated_data))


class WebhookView(View):
    permissions = {"GET": "webhook.manage", "PATCH": "webhook.manage", "DELETE": "webhook.manage"}
    serializer_class = WebhookSerializer
    etagged = True
    volatile = frozenset({"failing_since", "failures", "tried_at", "succeeded_at", "waiting"})

    @extend_schema(operation_id="webhooks_retrieve", responses=WebhookSerializer)
    def get(self, request: Request, webhook_id: uuid.UUID) -> Response:
        """One webhook."""
        return Response(WebhookSerializer(get_webhook(webhook_id)).data)

    @extend_schema(operation_id="webhooks_update", request=WebhookChangeSerializer, responses=WebhookSerializer)
    def patch(self, request: Request, webhook_id: uuid.UUID) -> Response:
        """Change its address, events or description, or switch it off and on; what is left out stays."""
        given = WebhookChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        change_webhook(acting=self.acting, webhook_id=webhook_id, **given.validated_data)
        return Response(WebhookSerializer(get_webhook(webhook_id)).data)

    @extend_schema(operation_id="webhooks_destroy", responses={204: None})
    def delete(self, request: Request, webhook_id: uuid.UUID) -> Response:
        """Delete a webhook, with the log of its deliveries."""
        delete_webhook(acting=self.acting, webhook_id=webhook_id)
        return Response(status=204)


class WebhookRotateView(View):
    permissions = {"POST": "webhook.manage"}
    serializer_class = CreatedWebhookSerializer
    creates = True

    @extend_schema(
        operation_id="webhooks_rotate", request=WebhookRotationSerializer, responses={201: CreatedWebhookSerializer}
    )
    def post(self, request: Request, webhook_id: uuid.UUID) -> Response:
        """Give a webhook another secret, which is in this answer and never again; the one before signs besides for a while."""
        given = WebhookRotationSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        overlap = datetime.timedelta(seconds=given.validated_data["overlap_seconds"])
        return _with_secret(*rotate_webhook(acting=self.acting, webhook_id=webhook_id, overlap=overlap))


class WebhookTestView(View):
    permissions = {"POST": "webhook.manage"}
    serializer_class = WebhookDeliverySerializer
    creates = True

    @extend_schema(operation_id="webhooks_test", request=None, responses={201: WebhookDeliverySerializer})
    def post(self, request: Request, webhook_id: uuid.UUID) -> Response:
        """Send this webhook a test event."""
        delivery = send_test_event(acting=self.acting, webhook_id=webhook_id)
        return Response(WebhookDeliverySerializer(delivery).data, status=201)


class WebhookEventsView(View):
    permissions = {"GET": "webhook.manage"}
    serializer_class = WebhookEventsSerializer
    pagination_class = None

    @extend_schema(operation_id="webhook_events", responses=WebhookEventsSerializer)
    def get(self, request: Request) -> Response:
        """The events that a webhook can be told of, by group."""
        return Response({"groups": [{"group": name, "events": list(events)} for name, events in GROUPS.items()]})


def _with_secret(webhook: Webhook, secret: str) -> Response:
    shown = WebhookSerializer(get_webhook(webhook.pk)).data
    return Response({**shown, "secret": secret}, status=201, headers={"Cache-Control": "no-store"})
