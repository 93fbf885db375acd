"""The files of the caller's tenant. Their bytes come and go by `/v1/files`, which takes a key, or the token of a page."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.batches.api.serializers import FileFilters, FileSerializer
from ollamamax.batches.queries.file import files
from ollamamax.identity.api.base import View


class FileListView(View):
    permissions = {"GET": "inference.use"}
    serializer_class = FileSerializer
    filters = FileFilters
    orderings = {"created_at": "created_at", "name": "name", "size": "size"}

    def get_queryset(self) -> QuerySet[Any]:
        return files()

    @extend_schema(operation_id="files_list", responses=FileSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The tenant's files, the newest first."""
        return self.listing(self.get_queryset(), FileSerializer)
