"""Jobs of the caller's tenant: pulls, pushes and models that are made, and how far they are."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from models_registry.actions.job import cancel_job, retry_job
from models_registry.job_progress import bytes_of, seconds_left
from models_registry.models import Job
from models_registry.queries.job import find_job, jobs
from ollamamax.identity.api.base import View
from ollamamax.identity.api.filters import CreatedFilters


class ProgressSerializer(serializers.Serializer[dict[str, Any]]):
    status = serializers.CharField()
    digest = serializers.CharField(required=False)
    total = serializers.IntegerField(required=False, help_text="bytes")
    completed = serializers.IntegerField(required=False, help_text="bytes")


class JobSerializer(serializers.ModelSerializer[Job]):
    progress = ProgressSerializer(many=True)
    imported = serializers.ListField(
        child=serializers.CharField(), help_text="the channels that an import brought, as model:channel"
    )
    bytes_done = serializers.SerializerMethodField(help_text="of all its parts that are known; null while none is")
    bytes_total = serializers.SerializerMethodField()
    seconds_left = serializers.SerializerMethodField(help_text="at the speed of the last seconds; null while unknown")

    class Meta:
        model = Job
        fields = [
            "id",
            "kind",
            "model",
            "state",
            "progress",
            "bytes_done",
            "bytes_total",
            "bytes_per_second",
            "seconds_left",
            "imported",
            "error",
            "error_code",
            "actor_kind",
            "actor_name",
            "attempts",
            "created_at",
            "started_at",
            "finished_at",
        ]

    def get_bytes_done(self, job: Job) -> int | None:
        found = bytes_of(job.progress)
        return found and found[0]

    def get_bytes_total(self, job: Job) -> int | None:
        found = bytes_of(job.progress)
        return found and found[1]

    def get_seconds_left(self, job: Job) -> float | None:
        return seconds_left(bytes_of(job.progress), job.bytes_per_second)


class JobFilters(CreatedFilters):
    kind = serializers.CharField(required=False, max_length=16)
    state = serializers.CharField(required=False, max_length=16)
    model = serializers.CharField(required=False, max_length=400, source="model__icontains", help_text="A part of it.")


class JobListView(View):
    permissions = {"GET": "model.view"}
    serializer_class = JobSerializer
    filters = JobFilters
    orderings = {"created_at": "created_at"}

    def get_queryset(self) -> QuerySet[Any]:
        return jobs()

    @extend_schema(operation_id="jobs_list", responses=JobSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The tenant's jobs, the newest first. One that is over is kept for 30 days."""
        return self.listing(self.get_queryset(), JobSerializer)


class JobRetryView(View):
    permissions = {"POST": "model.manage"}
    of_objects = True
    serializer_class = JobSerializer
    creates = True

    @extend_schema(operation_id="jobs_retry", request=None, responses={202: JobSerializer})
    def post(self, request: Request, job_id: uuid.UUID) -> Response:
        """Try a job again that failed or was cancelled: a new one, which goes on with what is there already."""
        return Response(JobSerializer(retry_job(acting=self.acting, job_id=job_id)).data, status=202)


class JobView(View):
    permissions = {"GET": "model.view", "DELETE": "model.manage"}
    serializer_class = JobSerializer
    etagged = True

    @extend_schema(operation_id="jobs_retrieve", responses=JobSerializer)
    def get(self, request: Request, job_id: uuid.UUID) -> Response:
        """One job."""
        return Response(JobSerializer(find_job(job_id)).data)

    @extend_schema(operation_id="jobs_destroy", responses={204: None})
    def delete(self, request: Request, job_id: uuid.UUID) -> Response:
        """Cancel a job; it stops within moments. For one that is over nothing happens."""
        cancel_job(acting=self.acting, job_id=job_id)
        return Response(status=204)
