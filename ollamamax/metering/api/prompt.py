"""A prompt that was kept by its tenant's policy, for who may read it."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.identity.api.base import View
from ollamamax.kernel.errors import NotFound
from ollamamax.metering.actions.prompt import read_prompt

ID = OpenApiParameter(
    "request_id",
    {"type": "string", "maxLength": 36},
    OpenApiParameter.PATH,
    required=True,
    description="As `x-request-id` tells it, or with hyphens.",
)


class PromptPartSerializer(serializers.Serializer[Any]):
    role = serializers.CharField(help_text="Of a message, or `prompt`, `suffix`, `input` or `tokens`.")
    text = serializers.CharField()


class KeptPromptSerializer(serializers.Serializer[Any]):
    """``cut``: of ``bytes`` (UTF-8) only the first 64 KiB are here. Of pictures and other files it has their sizes."""

    request = serializers.UUIDField()
    received_at = serializers.DateTimeField()
    kind = serializers.CharField()
    parts = PromptPartSerializer(many=True)
    bytes = serializers.IntegerField()
    cut = serializers.BooleanField()


class KeptPromptView(View):
    permissions = {"GET": "prompt.view"}
    serializer_class = KeptPromptSerializer

    @extend_schema(operation_id="prompts_retrieve", parameters=[ID], responses=KeptPromptSerializer)
    def get(self, request: Request, request_id: str) -> Response:
        """What was asked in one request, where the tenant keeps prompts. Each reading is in the audit trail."""
        try:
            asked = uuid.UUID(request_id)
        except ValueError:
            raise NotFound("There is no such request.") from None
        found, prompt = read_prompt(acting=self.acting, request_id=asked)
        shown = {
            "request": found.request,
            "received_at": found.received_at,
            "kind": prompt.kind,
            "parts": prompt.parts,
            "bytes": prompt.bytes,
            "cut": prompt.cut,
        }
        return Response(KeptPromptSerializer(shown).data, headers={"Cache-Control": "no-store"})
