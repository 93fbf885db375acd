"""The batches of the caller's tenant: list, order, look, cancel."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.batches.actions.batch import cancel_batch, create_batch
from ollamamax.batches.api.serializers import BatchCreateSerializer, BatchFilters, BatchSerializer
from ollamamax.batches.models import Batch
from ollamamax.batches.queries.batch import batches, get_batch
from ollamamax.batches.queries.file import names_of_files
from ollamamax.identity.api.base import View


class BatchListView(View):
    permissions = {"GET": "inference.use", "POST": "inference.use"}
    serializer_class = BatchSerializer
    filters = BatchFilters
    orderings = {"created_at": "created_at"}
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return batches()

    @extend_schema(operation_id="batches_list", responses=BatchSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The tenant's batches, the newest first, with how far each is."""
        return self.listing(self.get_queryset(), BatchSerializer, _names)

    @extend_schema(operation_id="batches_create", request=BatchCreateSerializer, responses={201: BatchSerializer})
    def post(self, request: Request) -> Response:
        """Order a batch of the requests in a file."""
        given = BatchCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        made = create_batch(acting=self.acting, metadata=None, **given.validated_data)
        return Response(_shown(made), status=201)


class BatchView(View):
    permissions = {"GET": "inference.use"}
    serializer_class = BatchSerializer

    @extend_schema(operation_id="batches_retrieve", responses=BatchSerializer)
    def get(self, request: Request, batch_id: uuid.UUID) -> Response:
        """One batch."""
        return Response(_shown(get_batch(self.acting.tenant or "", batch_id)))


class BatchCancelView(View):
    permissions = {"POST": "inference.use"}
    serializer_class = BatchSerializer

    @extend_schema(operation_id="batches_cancel", request=None, responses=BatchSerializer)
    def post(self, request: Request, batch_id: uuid.UUID) -> Response:
        """End a batch within a second; what was answered stays. Done again, it changes nothing."""
        return Response(_shown(cancel_batch(acting=self.acting, batch_id=batch_id)))


def _shown(batch: Batch) -> Any:
    return BatchSerializer(batch, context=_names([batch])).data


def _names(some: Sequence[Batch]) -> dict[str, Any]:
    return {"names": names_of_files([each.input_file for each in some])}
