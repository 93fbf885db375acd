"""Where copies of models are to be, and which there are: the terms of a model, those of the tenant, and transfers that are stopped and let go on."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from models_registry.actions.replication import pause_transfer, set_terms
from models_registry.api.model import ReplicaSerializer
from models_registry.api.profile import Strict
from models_registry.api.scaling import ScalingDecisionSerializer, scaling_shown
from models_registry.models import Channel
from models_registry.queries.model import get_channel
from models_registry.queries.replication import copies_of, policy_of, terms_of
from models_registry.queries.scaling import is_fresh, known_scaling
from models_registry.replication import scaling
from models_registry.replication.terms import EVICTIONS, LEAST_RATE, MOST_COPIES, MOST_PRIORITY, ReplicationTerms
from ollamamax.contract.bounds import LARGEST
from ollamamax.identity.api.base import View

_LAST_MINUTE = 24 * 60 - 1
_MOST_REGIONS = 50
_MOST_LABELS = 20


def _whole(least: int, most: int, help_text: str) -> serializers.IntegerField:
    return serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=least, max_value=most, help_text=help_text
    )


class ScalingScheduleSerializer(Strict):
    """Bounds that count in each minute that `cron` names, in the place of `least_loaded` and `most_loaded`."""

    cron = serializers.CharField(
        max_length=100, help_text="minute, hour, day, month and day of the week, as in `* 8-17 * * mon-fri`"
    )
    least = serializers.IntegerField(required=False, default=0, min_value=0, max_value=scaling.MOST_SCALED)
    most = _whole(0, scaling.MOST_SCALED, "null: no bound")
    zone = serializers.CharField(required=False, default="UTC", max_length=64, help_text="of the IANA database")


class ScalingTermsSerializer(Strict):
    """How long requests may take, of so many percent of them: in the queue, or to the first token. One of the two is needed."""

    queue_wait_ms = _whole(scaling.LEAST_MS, scaling.MOST_MS, "from admission until a slot is free")
    first_token_ms = _whole(scaling.LEAST_MS, scaling.MOST_MS, "from receipt until the first token")
    share = serializers.IntegerField(
        required=False,
        default=95,
        min_value=scaling.LEAST_SHARE,
        max_value=scaling.MOST_SHARE,
        help_text="percent of the requests",
    )
    cool_down_seconds = serializers.IntegerField(
        required=False,
        default=600,
        min_value=scaling.LEAST_COOL_DOWN,
        max_value=scaling.MOST_COOL_DOWN,
        help_text="replicas leave when nothing asked for them for so long",
    )
    zero_after_seconds = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=600,
        min_value=scaling.LEAST_COOL_DOWN,
        max_value=scaling.MOST_COOL_DOWN,
        help_text="after so long without a request, and where none is expected, the last replica leaves, too; null: it stays",
    )
    schedules = serializers.ListField(
        child=ScalingScheduleSerializer(),
        required=False,
        default=list,
        max_length=scaling.MOST_SCHEDULES,
        help_text="the first one that counts now",
    )


class TermsSerializer(Strict):
    """As by default, every node that can has every version. What is left out is as by default."""

    least = _whole(0, MOST_COPIES, "so many copies are made and kept; null: one on every node that may have it")
    most = _whole(0, MOST_COPIES, "copies beyond are taken away; null: none are")
    regions = serializers.ListField(
        child=serializers.RegexField(r"^[a-z0-9-]{1,63}\Z", max_length=63),
        required=False,
        default=list,
        max_length=_MOST_REGIONS,
        help_text="where copies may lie; empty is everywhere",
    )
    labels = serializers.DictField(
        child=serializers.CharField(max_length=63),
        required=False,
        default=dict,
        help_text="labels that a node must have; at most 20",
    )
    spread = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        max_length=63,
        help_text="a label whose values copies are spread over, or `region`",
    )
    priority = serializers.IntegerField(
        required=False,
        default=0,
        min_value=-MOST_PRIORITY,
        max_value=MOST_PRIORITY,
        help_text="higher ones come first where room is short",
    )
    least_loaded = _whole(0, MOST_COPIES, "replicas in memory at least, whether it is asked for or not; null: none")
    most_loaded = _whole(0, MOST_COPIES, "replicas in memory at most; null: as many as the demand needs")
    scaling = ScalingTermsSerializer(
        required=False,
        allow_null=True,
        default=None,
        help_text="how many there are between those two, by an objective; null: as many as the demand has slots for",
    )
    pinned = serializers.BooleanField(
        required=False, default=False, help_text="whether what is in memory stays there, whatever else needs room"
    )
    bytes_per_second = _whole(LEAST_RATE, LARGEST, "of one node's transfers of a version; null: as fast as it goes")
    window_from = _whole(0, _LAST_MINUTE, "minutes after midnight UTC from which bytes may be transferred")
    window_until = _whole(0, _LAST_MINUTE, "and until when; after midnight where it is less than `window_from`")

    def validate_labels(self, labels: dict[str, str]) -> dict[str, str]:
        if len(labels) > _MOST_LABELS or any(not 1 <= len(name) <= 63 for name in labels):
            raise serializers.ValidationError(f"At most {_MOST_LABELS} labels, with names of 1 to 63 characters.")
        return labels


class TenantTermsSerializer(TermsSerializer):
    """Of all models that have no terms of their own; the quota is of all."""

    quota_bytes = _whole(0, LARGEST, "of one node's disk, for all versions of the tenant together; null: no quota")
    region_bytes_per_second = _whole(
        LEAST_RATE, LARGEST, "of all transfers to nodes of one region together; null: as fast as it goes"
    )
    automatic = serializers.BooleanField(
        required=False, default=False, help_text="whether plans of what is in memory are carried out by themselves"
    )
    keep_warm = serializers.BooleanField(
        required=False,
        default=False,
        help_text="whether models that nobody asks for are kept in memory, and loaded, by how likely they are asked for soon",
    )
    evict = serializers.ChoiceField(
        EVICTIONS,
        required=False,
        default="oldest",
        help_text="what goes first where room is needed, of copies beyond `least` that are not in use",
    )


class CopiesOfVersionSerializer(serializers.Serializer[Any]):
    """How many copies of a version there are."""

    version = serializers.CharField(source="digest")
    wanted = serializers.IntegerField(help_text="nodes that are to have it by the last plan")
    ready = serializers.IntegerField(help_text="verified on their nodes")
    coming = serializers.IntegerField()
    failed = serializers.IntegerField()
    shortage = serializers.CharField(help_text="why fewer are wanted than there should be; empty where they are not")


class ReplicationSerializer(serializers.Serializer[Any]):
    """What counts for a model: its own terms or the tenant's, and how many copies there are of each of its versions."""

    terms = TermsSerializer()
    own = serializers.BooleanField(help_text="whether the terms are the model's own; else they are the tenant's")
    copies = CopiesOfVersionSerializer(many=True)
    scaling = ScalingDecisionSerializer(
        allow_null=True, help_text="of the present version; null where there is no objective"
    )


class ModelReplicationView(View):
    permissions = {"GET": "model.view", "PUT": "model.manage", "DELETE": "model.manage"}
    of_objects = True
    serializer_class = ReplicationSerializer
    pagination_class = None
    etagged = True
    volatile = frozenset({"copies", "scaling"})

    def _shown(self, channel_id: uuid.UUID) -> Any:
        channel = get_channel(self.acting, channel_id)
        model, own, general = channel.model, policy_of(channel.model), policy_of(None)
        terms = terms_of(own if own is not None else general)
        return ReplicationSerializer(
            {
                "terms": terms,
                "own": own is not None,
                "copies": copies_of(model, (own, general)),
                "scaling": None if terms.scaling is None else _scaling(channel),
            }
        ).data

    @extend_schema(operation_id="models_replication_retrieve", responses=ReplicationSerializer)
    def get(self, request: Request, channel_id: uuid.UUID) -> Response:
        """Where copies of the model's versions are to be, and how many there are."""
        return Response(self._shown(channel_id))

    @extend_schema(operation_id="models_replication_update", request=TermsSerializer, responses=ReplicationSerializer)
    def put(self, request: Request, channel_id: uuid.UUID) -> Response:
        """Give the model terms of its own. Nodes begin to fetch, and let go of copies, within seconds."""
        given = TermsSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        set_terms(acting=self.acting, channel_id=channel_id, terms=_terms(given))
        return Response(self._shown(channel_id))

    @extend_schema(operation_id="models_replication_destroy", responses={204: None})
    def delete(self, request: Request, channel_id: uuid.UUID) -> Response:
        """Let the tenant's terms count for the model."""
        set_terms(acting=self.acting, channel_id=channel_id, terms=None)
        return Response(status=204)


class TenantReplicationView(View):
    permissions = {"GET": "model.view", "PUT": "model.manage"}
    serializer_class = TenantTermsSerializer
    pagination_class = None
    etagged = True

    @extend_schema(operation_id="replication_retrieve", responses=TenantTermsSerializer)
    def get(self, request: Request) -> Response:
        """The terms of all models of the tenant that have none of their own."""
        return Response(TenantTermsSerializer(terms_of(policy_of(None))).data)

    @extend_schema(operation_id="replication_update", request=TenantTermsSerializer, responses=TenantTermsSerializer)
    def put(self, request: Request) -> Response:
        """Set them."""
        given = TenantTermsSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        set_terms(acting=self.acting, channel_id=None, terms=_terms(given))
        return Response(TenantTermsSerializer(terms_of(policy_of(None))).data)


class ReplicaPauseView(View):
    permissions = {"POST": "model.manage"}
    of_objects = True
    serializer_class = ReplicaSerializer
    creates = True

    @extend_schema(operation_id="replicas_pause", request=None, responses=ReplicaSerializer)
    def post(self, request: Request, channel_id: uuid.UUID, node_id: uuid.UUID) -> Response:
        """Stop bringing the version to the node. What came so far stays there."""
        return _paused(self, channel_id, node_id, paused=True)


class ReplicaResumeView(View):
    permissions = {"POST": "model.manage"}
    of_objects = True
    serializer_class = ReplicaSerializer
    creates = True

    @extend_schema(operation_id="replicas_resume", request=None, responses=ReplicaSerializer)
    def post(self, request: Request, channel_id: uuid.UUID, node_id: uuid.UUID) -> Response:
        """Let it go on."""
        return _paused(self, channel_id, node_id, paused=False)


def _scaling(channel: Channel) -> dict[str, Any]:
    """Raises `Unavailable` when Redis is away."""
    digest = channel.version.digest
    known = known_scaling(channel.tenant_id).get(digest)
    if known is not None and not is_fresh(known, timezone.now()):
        known = None
    return scaling_shown(digest, f"{channel.model.name}:{channel.name}", known, None)


def _paused(view: View, channel_id: uuid.UUID, node_id: uuid.UUID, *, paused: bool) -> Response:
    found = pause_transfer(acting=view.acting, channel_id=channel_id, node_id=node_id, paused=paused)
    return Response(ReplicaSerializer(found).data)


def _terms(given: TermsSerializer) -> ReplicationTerms:
    return msgspec.convert(given.validated_data, ReplicationTerms)
