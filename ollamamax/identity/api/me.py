"""Who is calling."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.identity.api.base import SIGNED_IN, View
from ollamamax.identity.api.serializers import MeSerializer


class MeView(View):
    permissions = {"GET": SIGNED_IN}
    serializer_class = MeSerializer

    @extend_schema(responses=MeSerializer)
    def get(self, request: Request) -> Response:
        """The user or key that calls, its tenant and its permissions."""
        acting = self.acting
        return Response(
            {
                "kind": acting.kind,
                "id": acting.id,
                "name": acting.name,
                "tenant": acting.tenant,
                "permissions": sorted(acting.permissions),
            }
        )
