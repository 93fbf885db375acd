"""Requests of the caller's tenant: the list, one of them as a timeline, those that run now, cancelling one, and moving one in the queue."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cluster.actions.request import cancel_request, prioritise_request
from cluster.api.fields import AnyId, UnixMoment
from cluster.queries import request as queries
from ollamamax.identity.api.base import View
from ollamamax.identity.models import Priority
from ollamamax.identity.queries.key import names_of_keys
from ollamamax.kernel.errors import NotFound
from ollamamax.metering import queries as metering
from ollamamax.metering.models import OUTCOMES, UsageRecord

MOST_DURATION = 86_400_000
"""Milliseconds: no request may take a day."""


class ScoredNodeSerializer(serializers.Serializer[Any]):
    node = AnyId()
    node_name = serializers.CharField()
    reason = serializers.CharField()
    score = serializers.FloatField()
    parts = serializers.DictField(child=serializers.FloatField())


class AttemptSerializer(serializers.Serializer[Any]):
    """``error`` is the code of what ended the try; empty when it was answered."""

    node = AnyId()
    node_name = serializers.CharField()
    reason = serializers.CharField()
    given_at = UnixMoment()
    started_at = UnixMoment(required=False)
    error = serializers.CharField(required=False)
    price = serializers.FloatField(required=False, help_text="what a slot of the node cost an hour")
    currency = serializers.CharField(required=False)
    load_ms = serializers.FloatField(required=False, help_text="for how long the model was loaded first")


class RouteSerializer(serializers.Serializer[Any]):
    """The last ranking, best first; who was ruled out, and why; every try. ``waiting``: how many waited when it joined them."""

    strategy = serializers.CharField(required=False)
    candidates = ScoredNodeSerializer(many=True, required=False)
    ruled_out = serializers.DictField(child=serializers.CharField(), required=False)
    attempts = AttemptSerializer(many=True, required=False)
    waiting = serializers.IntegerField(required=False)
    cancelled_by = serializers.CharField(required=False)


class StepSerializer(serializers.Serializer[Any]):
    """``until`` is null for what is under way, and the same as ``at`` for a mere moment. ``detail`` is a place in the queue, or the code of the
    error that ended a try."""

    phase = serializers.ChoiceField(["received", "queued", "routed", "loading", "prefill", "generating", "ended"])
    at = UnixMoment()
    until = UnixMoment(allow_null=True)
    node_name = serializers.CharField()
    detail = serializers.CharField()


class RequestSerializer(serializers.Serializer[Any]):
    """Times in milliseconds, null for what has not happened or is not known. ``status`` is the HTTP status with which it ended; ``user``
    and ``metadata`` are what its client wanted noted with it. ``why`` says in a sentence why it ran where it ran; it and ``timeline``
    are empty when the route is kept no more."""

    request = AnyId()
    state = serializers.ChoiceField(["waiting", "running", "settled"])
    key = AnyId()
    key_name = serializers.CharField(help_text="Empty for a key that is gone.")
    model = serializers.CharField()
    version = serializers.CharField()
    api = serializers.CharField()
    trace = serializers.CharField()
    priority = serializers.ChoiceField(Priority.choices)
    received_at = UnixMoment()
    node = AnyId(allow_null=True)
    node_name = serializers.CharField(allow_null=True)
    attempts = serializers.IntegerField()
    position = serializers.IntegerField(default=None, allow_null=True)
    expected_wait_ms = serializers.IntegerField(default=None, allow_null=True)
    queue_ms = serializers.FloatField(allow_null=True)
    first_token_ms = serializers.FloatField(default=None, allow_null=True)
    duration_ms = serializers.FloatField()
    prompt_tokens = serializers.IntegerField(default=None, allow_null=True)
    completion_tokens = serializers.IntegerField(default=None, allow_null=True)
    cached_tokens = serializers.IntegerField(
        default=None,
        allow_null=True,
        help_text="Of the prompt's tokens those that the engine had kept from before; null where it does not say.",
    )
    cost = serializers.DecimalField(
        max_digits=20, decimal_places=9, default=None, allow_null=True, help_text="By the hourly costs of its nodes."
    )
    currency = serializers.CharField(default="")
    charge = serializers.DecimalField(
        max_digits=38,
        decimal_places=9,
        default=None,
        allow_null=True,
        help_text="By the price list as it was when the request was received; null where no price counted.",
    )
    charge_currency = serializers.CharField(default="")
    price = AnyId(default=None, allow_null=True, help_text="The price by which it was charged, of `/api/v1/prices`.")
    price_since = serializers.DateTimeField(default=None, allow_null=True, help_text="Since when that price counted.")
    slot_seconds = serializers.FloatField(
        default=None, allow_null=True, help_text="For how long it had slots, where its price is by the second, too."
    )
    prompt_kept = serializers.BooleanField(
        default=False, help_text="Whether its tenant wanted its prompt kept: `/api/v1/prompts/{request_id}`."
    )
    outcome = serializers.CharField(default=None, allow_null=True)
    error = serializers.CharField(default="")
    status = serializers.IntegerField(default=None, allow_null=True)
    user = serializers.CharField(default="")
    metadata = serializers.DictField(child=serializers.CharField(), default=None, allow_null=True)
    shadow_of = AnyId(
        default=None,
        allow_null=True,
        help_text="The request that it runs again for a rollout to compare; nobody was shown its answer.",
    )
    same_answer = serializers.BooleanField(
        default=None, allow_null=True, help_text="Whether it said the same as that one; null where that is not known."
    )
    cancelled_by = serializers.CharField(default="", help_text="Who cancelled it by this API.")
    why = serializers.CharField()
    timeline = StepSerializer(many=True)
    route = RouteSerializer(default=None, allow_null=True)


class EndedRequestSerializer(serializers.ModelSerializer[UsageRecord]):
    """One request that is over, in a list."""

    key_name = serializers.SerializerMethodField(help_text="Empty for a key that is gone.")

    class Meta:
        model = UsageRecord
        exclude = ["tenant", "version", "metadata"]

    def get_key_name(self, record: UsageRecord) -> str:
        found: str = self.context["names"].get(record.key, "")
        return found


class RunningSerializer(serializers.Serializer[Any]):
    """One request that a node has now; ``duration_ms`` counts from its receipt until this answer."""

    request = AnyId()
    key = AnyId()
    key_name = serializers.CharField()
    model = serializers.CharField()
    api = serializers.CharField()
    trace = serializers.CharField()
    priority = serializers.ChoiceField(Priority.choices)
    received_at = UnixMoment()
    node = AnyId(allow_null=True)
    node_name = serializers.CharField(allow_null=True)
    attempts = serializers.IntegerField()
    duration_ms = serializers.FloatField()


class RunningListSerializer(serializers.Serializer[Any]):
    """The newest ones; no more than 200."""

    results = RunningSerializer(many=True)


class RequestFilters(serializers.Serializer[Any]):
    """``outcome`` may be given several times; ``id`` is how the id begins, with hyphens or without."""

    since = serializers.DateTimeField(required=False, source="received_at__gte")
    until = serializers.DateTimeField(required=False, source="received_at__lt")
    outcome = serializers.ListField(
        child=serializers.ChoiceField(OUTCOMES), required=False, max_length=len(OUTCOMES), source="outcome__in"
    )
    error = serializers.CharField(required=False, max_length=100, help_text="The error's code.")
    node = serializers.UUIDField(required=False)
    key = serializers.UUIDField(required=False)
    user = serializers.CharField(required=False, max_length=256)
    model = serializers.CharField(required=False, max_length=400)
    api = serializers.CharField(required=False, max_length=100, help_text="Its route, such as `/v1/messages`.")
    trace = serializers.RegexField(r"^[0-9a-f]{32}$", required=False)
    slower_than_ms = serializers.FloatField(
        required=False,
        min_value=0,
        max_value=MOST_DURATION,
        source="duration_ms__gte",
        help_text="From receipt to end.",
    )
    id = serializers.RegexField(r"^[0-9a-fA-F-]{1,36}$", required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        begin = attrs.pop("id", None)
        if begin is None:
            return attrs
        digits = begin.replace("-", "").lower()
        if not digits or len(digits) > 32:
            raise serializers.ValidationError({"id": ["An id has 32 hexadecimal digits."]})
        least, most = uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))
        return attrs | {"request__gte": least, "request__lte": most}


class RequestChangeSerializer(serializers.Serializer[Any]):
    priority = serializers.ChoiceField(Priority.choices, help_text="For a request that waits.")


ID = OpenApiParameter("request_id", {"type": "string", "maxLength": 36}, OpenApiParameter.PATH, required=True)


class RequestListView(View):
    permissions = {"GET": "usage.view"}
    serializer_class = EndedRequestSerializer
    filters = RequestFilters
    ordering = ("-received_at", "-request")

    def get_queryset(self) -> QuerySet[Any]:
        return metering.usage()

    @extend_schema(operation_id="requests_list", responses=EndedRequestSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Requests that are over, the newest first: also those that were refused, or left the queue."""
        return self.listing(self.get_queryset(), EndedRequestSerializer, _names)


class RunningListView(View):
    permissions = {"GET": "usage.view"}
    serializer_class = RunningListSerializer
    pagination_class = None

    @extend_schema(operation_id="requests_running", responses=RunningListSerializer)
    def get(self, request: Request) -> Response:
        """Requests that a node has now, the newest first."""
        rows = queries.with_key_names(queries.running(self.acting.tenant or ""))
        return Response(RunningListSerializer({"results": rows}).data)


class RequestView(View):
    permissions = {"GET": "usage.view", "PATCH": "request.manage"}
    serializer_class = RequestSerializer
    etagged = True
    # Everything else changes by itself, as the request goes on.
    volatile = frozenset(RequestSerializer().fields) - {"request", "priority"}

    @extend_schema(operation_id="requests_retrieve", parameters=[ID], responses=RequestSerializer)
    def get(self, request: Request, request_id: str) -> Response:
        """One request, by the id in its ``x-request-id``: its phases, why it ran where it ran, every candidate and its score, the tries."""
        return Response(RequestSerializer(queries.find_request(_id(request_id), self.acting.tenant or "")).data)

    @extend_schema(
        operation_id="requests_update", parameters=[ID], request=RequestChangeSerializer, responses=RequestSerializer
    )
    def patch(self, request: Request, request_id: str) -> Response:
        """Raise or lower a request that waits, among those of its own tenant."""
        given = RequestChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        prioritise_request(acting=self.acting, request_id=_id(request_id), **given.validated_data)
        return self.get(request, request_id)


class RequestCancelView(View):
    permissions = {"POST": "request.manage"}

    @extend_schema(operation_id="requests_cancel", parameters=[ID], request=None, responses={202: None})
    def post(self, request: Request, request_id: str) -> Response:
        """Cancel a request that waits or runs: its client is told in the form of its protocol, within a second."""
        cancel_request(acting=self.acting, request_id=_id(request_id))
        return Response(status=202)


def _id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise NotFound("There is no such request.") from None


def _names(page: Sequence[UsageRecord]) -> dict[str, Any]:
    return {"names": names_of_keys(each.key for each in page)}
