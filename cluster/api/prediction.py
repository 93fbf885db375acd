"""What is done in the caller's tenant when a node is likely to fail, by detector."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cluster.actions.prediction import change_policies
from cluster.models import PredictionPolicy
from cluster.prediction.thresholds import DETECTORS, THRESHOLDS
from cluster.queries.prediction import policies
from ollamamax.identity.api.base import View
from ollamamax.identity.api.serializers import ChangeSerializer


class DetectorSerializer(serializers.Serializer[Any]):
    """``act``: ``propose`` (an incident with a button), ``cordon`` (no new requests), or ``drain`` (and what runs has two minutes)."""

    detector = serializers.ChoiceField(DETECTORS)
    act = serializers.ChoiceField(PredictionPolicy.Act.choices)
    within_minutes = serializers.FloatField(help_text="A failure is told when it is to come within so many minutes.")


class PredictionsSerializer(serializers.Serializer[Any]):
    detectors = DetectorSerializer(many=True)


class PredictionsChangeSerializer(ChangeSerializer):
    acts = serializers.DictField(
        child=serializers.ChoiceField(PredictionPolicy.Act.choices),
        required=False,
        help_text="Detector -> what is done from now on; those that are left out stay.",
    )


class PredictionsView(View):
    permissions = {"GET": "node.view", "PATCH": "node.manage"}
    serializer_class = PredictionsSerializer
    etagged = True

    @extend_schema(operation_id="predictions_retrieve", responses=PredictionsSerializer)
    def get(self, request: Request) -> Response:
        """The detectors, and what is done when one predicts that a node fails."""
        return Response(PredictionsSerializer(_told(policies())).data)

    @extend_schema(
        operation_id="predictions_change", request=PredictionsChangeSerializer, responses=PredictionsSerializer
    )
    def patch(self, request: Request) -> Response:
        """Change what is done. Guard rails of recovery hold for all of it."""
        given = PredictionsChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return Response(PredictionsSerializer(_told(change_policies(acting=self.acting, **given.validated_data))).data)


def _told(acts: dict[str, str]) -> dict[str, Any]:
    return {
        "detectors": [
            {"detector": detector, "act": acts[detector], "within_minutes": THRESHOLDS[detector].within}
            for detector in DETECTORS
        ]
    }
