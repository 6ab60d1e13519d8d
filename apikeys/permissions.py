"""What a view asks of its caller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.exceptions import NotAuthenticated
from rest_framework.permissions import BasePermission

from apikeys.authentication import NO_KEY
from apikeys.principal import Principal

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView


class HasAPIKey(BasePermission):
    """Lets only a recognised key pass."""

    def has_permission(self, request: Request, _view: APIView) -> bool:
        """Returns True; raises NotAuthenticated, with a word on how to send a key."""
        if not isinstance(request.user, Principal):
            raise NotAuthenticated(NO_KEY)
        return True
