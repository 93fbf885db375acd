"""The log of a webhook's deliveries."""

from __future__ import annotations

import uuid

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.identity.api.base import View
from ollamamax.notifications.actions.delivery import redeliver
from ollamamax.notifications.api.serializers import (
    WebhookDeliveryDetailSerializer,
    WebhookDeliveryFilters,
    WebhookDeliverySerializer,
)
from ollamamax.notifications.queries.delivery import deliveries_of, get_delivery
from ollamamax.notifications.rights import require_to_hear


class WebhookDeliveryListView(View):
    permissions = {"GET": "webhook.manage"}
    serializer_class = WebhookDeliverySerializer
    filters = WebhookDeliveryFilters
    orderings = {"created_at": "created_at"}

    @extend_schema(operation_id="webhook_deliveries_list", responses=WebhookDeliverySerializer(many=True))
    def get(self, request: Request, webhook_id: uuid.UUID) -> Response:
        """What was sent to a webhook and what is still to be, the newest first."""
        return self.listing(deliveries_of(webhook_id), WebhookDeliverySerializer)


class WebhookDeliveryView(View):
    permissions = {"GET": "webhook.manage"}
    serializer_class = WebhookDeliveryDetailSerializer

    @extend_schema(operation_id="webhook_deliveries_retrieve", responses=WebhookDeliveryDetailSerializer)
    def get(self, request: Request, webhook_id: uuid.UUID, delivery_id: uuid.UUID) -> Response:
        """One delivery: the body, and each attempt. For who may see themselves what the body tells."""
        found = get_delivery(webhook_id, delivery_id)
        require_to_hear(self.acting, [found.event.type])
        return Response(WebhookDeliveryDetailSerializer(found).data)


class WebhookRedeliverView(View):
    permissions = {"POST": "webhook.manage"}
    serializer_class = WebhookDeliverySerializer
    creates = True

    @extend_schema(
        operation_id="webhook_deliveries_redeliver", request=None, responses={201: WebhookDeliverySerializer}
    )
    def post(self, request: Request, webhook_id: uuid.UUID, delivery_id: uuid.UUID) -> Response:
        """Send it once more, under the same `webhook-id`."""
        redeliver(acting=self.acting, webhook_id=webhook_id, delivery_id=delivery_id)
        return Response(WebhookDeliverySerializer(get_delivery(webhook_id, delivery_id)).data, status=201)
