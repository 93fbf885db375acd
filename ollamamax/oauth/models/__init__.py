"""The models of OAuth."""

from ollamamax.oauth.models.application import Application, ApplicationUsers
from ollamamax.oauth.models.token import AuthorizationCode, RefreshToken, TokenFamily
from ollamamax.oauth.models.workload import Workload

__all__ = ["Application", "ApplicationUsers", "AuthorizationCode", "RefreshToken", "TokenFamily", "Workload"]
