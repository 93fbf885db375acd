"""Batches and files as the management API shows them; OpenAI's own form is in `ollamamax.batches.protocol.objects`."""

from __future__ import annotations

import uuid
from typing import Any

from rest_framework import serializers

from ollamamax.batches.actions.batch import ENDPOINTS
from ollamamax.batches.models import Batch, File


class FileSerializer(serializers.ModelSerializer[File]):
    """``needed``: a batch that is not over reads it, and it cannot be deleted until then. Its bytes are at `/v1/files/file-<id>/content`."""

    needed = serializers.BooleanField(read_only=True)

    class Meta:
        model = File
        fields = ["id", "purpose", "name", "size", "sha256", "created_at", "needed"]
        read_only_fields = fields


class BatchProblemSerializer(serializers.Serializer[Any]):
    """What is wrong with the input; ``line`` counts from 1, null where it is of no single line."""

    line = serializers.IntegerField(allow_null=True)
    message = serializers.CharField()


class BatchSerializer(serializers.ModelSerializer[Batch]):
    """``completed`` and ``failed`` of ``total`` lines have their answer. A file that is not there (yet, or deleted) has no name."""

    key = serializers.UUIDField(source="key_id")
    key_name = serializers.CharField(source="key.name")
    input_name = serializers.SerializerMethodField()
    ended_at = serializers.SerializerMethodField()
    errors = BatchProblemSerializer(many=True)  # type: ignore[assignment]

    class Meta:
        model = Batch
        fields = [
            "id",
            "endpoint",
            "status",
            "key",
            "key_name",
            "input_file",
            "input_name",
            "output_file",
            "error_file",
            "errors",
            "total",
            "completed",
            "failed",
            "completion_window",
            "created_at",
            "expires_at",
            "in_progress_at",
            "ended_at",
        ]
        read_only_fields = fields

    def get_input_name(self, batch: Batch) -> str:
        names: dict[uuid.UUID, str] = self.context["names"]
        return names.get(batch.input_file, "")

    def get_ended_at(self, batch: Batch) -> str | None:
        moment = batch.completed_at or batch.failed_at or batch.expired_at or batch.cancelled_at
        return None if moment is None else moment.isoformat().replace("+00:00", "Z")


class BatchCreateSerializer(serializers.Serializer[Any]):
    """``key``: as which its requests are run and counted; one that the caller may change. A key that asks runs them as itself."""

    input_file = serializers.UUIDField()
    endpoint = serializers.ChoiceField(ENDPOINTS)
    completion_window = serializers.CharField(
        max_length=8, default="24h", help_text="When it ends at the latest: `90m`, `24h`, `7d`; at most 14 days."
    )
    key = serializers.UUIDField(required=False)


class BatchFilters(serializers.Serializer[Any]):
    status = serializers.ChoiceField(Batch.Status.choices, required=False)
    endpoint = serializers.ChoiceField(ENDPOINTS, required=False)
    key = serializers.UUIDField(required=False, source="key_id")


class FileFilters(serializers.Serializer[Any]):
    name = serializers.CharField(required=False, max_length=255, source="name__icontains", help_text="A part of it.")
    purpose = serializers.ChoiceField(File.Purpose.choices, required=False)
