"""Errors that reach the client: one base class, a small subclass per MLflow ``error_code``.

Raised wherever the problem is noticed, caught once, in ``App.handle``. The status of each code is MLflow's
(a user's mistake is never a 5xx, because clients repeat those for minutes).
"""

from typing import Dict, Optional


class TrackdError(Exception):
    """Base of all errors with an answer for the client.

    ``message`` is one sentence or two that say what is wrong and what to do. ``error_code`` and ``status`` are
    what clients decide on. ``sqlstate`` and ``error_class`` are sent where MLflow sends them, else left out.
    """

    error_code = "INTERNAL_ERROR"
    status = 500
    sqlstate: Optional[str] = "XXM00"
    error_class: Optional[str] = "CLIENT_INTERNAL_ERROR"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def body(self) -> Dict[str, str]:
        """The JSON object that MLflow's clients read."""
        body = {"error_code": self.error_code, "message": self.message}
        if self.sqlstate:
            body["sqlstate"] = self.sqlstate
        if self.error_class:
            body["error_class"] = self.error_class
        return body


class InvalidParameterValue(TrackdError):
    """The request is wrong in itself, or asks for what the stored state does not allow."""

    error_code, status = "INVALID_PARAMETER_VALUE", 400
    sqlstate, error_class = "KAM00", "INVALID_PARAMETER_VALUE"


class BadRequest(InvalidParameterValue):
    """As MLflow answers a violated database constraint, for instance renaming onto a taken name."""

    error_code = "BAD_REQUEST"


class AttributeNotFound(InvalidParameterValue):
    """An order of logged models names a field that they do not have."""

    sqlstate, error_class = "KAM04", "ATTRIBUTE_NOT_FOUND"


class ResourceAlreadyExists(TrackdError):
    """Something of that name is there already, active or deleted."""

    error_code, status = "RESOURCE_ALREADY_EXISTS", 400
    sqlstate, error_class = "KAM00", "RESOURCE_ALREADY_EXISTS"


class ResourceDoesNotExist(TrackdError):
    """No experiment, run, tag ... of that id, name or key."""

    error_code, status = "RESOURCE_DOES_NOT_EXIST", 404
    sqlstate, error_class = "KAM00", "RESOURCE_NOT_FOUND"


class EndpointNotFound(TrackdError):
    """No such route. Clients turn a 404 that is not JSON into this code and fall back."""

    error_code, status = "ENDPOINT_NOT_FOUND", 404
    sqlstate, error_class = "KAM00", "RESOURCE_NOT_FOUND"


class PermissionDenied(TrackdError):
    """The server may not or will not write there (``--read-only``, a folder without write permission)."""

    error_code, status = "PERMISSION_DENIED", 403
    sqlstate, error_class = "KAM00", "PERMISSION_DENIED"


class InvalidState(InvalidParameterValue):
    """MLflow answers 500 INVALID_STATE here; it is a user's mistake, so trackd answers 400 with the same code."""

    error_code = "INVALID_STATE"
    sqlstate, error_class = "XXM00", "CLIENT_INTERNAL_ERROR"


class MethodNotAllowed(TrackdError):
    """The path exists, with other methods; ``allow`` lists them for the ``Allow`` header (RFC 9110, 15.5.6)."""

    error_code, status = "BAD_REQUEST", 405
    sqlstate, error_class = "KAM00", "INVALID_PARAMETER_VALUE"

    def __init__(self, message: str, allow: str = "") -> None:
        super().__init__(message)
        self.allow = allow


class NotImplementedHere(TrackdError):
    """A feature of the API that this configuration does not have."""

    error_code, status = "NOT_IMPLEMENTED", 501
    sqlstate = error_class = None


class PayloadTooLarge(InvalidParameterValue):
    """The body is above its limit (RFC 9110, 15.5.14)."""

    status = 413


class StorageFull(TrackdError):
    """No room for the write, nothing of it was kept (RFC 4918, 11.5). Clients do not repeat a 507."""

    error_code, status = "RESOURCE_EXHAUSTED", 507
    sqlstate = error_class = None


class TemporarilyUnavailable(TrackdError):
    """Worth repeating: the same request can succeed in a moment."""

    error_code, status = "TEMPORARILY_UNAVAILABLE", 503
    sqlstate, error_class = "XXM00", "CLIENT_INTERNAL_ERROR"
