"""The session's cookie outlives an answer that does not know its session, so that a late answer takes no newer cookie away."""

from __future__ import annotations

from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers


class PatientSessionMiddleware(SessionMiddleware):
    """Django deletes the cookie of a session that is not there. When a session gets another id (log-in, another password), a question
    that was under way with the id before would then be answered with the deletion of the cookie that the browser was just given."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        session = request.session
        # Whoever logs out has changed the session: its cookie goes.
        if session.accessed and not session.modified and session.is_empty():
            patch_vary_headers(response, ("Cookie",))
            return response
        return super().process_response(request, response)
