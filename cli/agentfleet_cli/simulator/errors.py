"""The API's errors as they travel: a status, a type word and a sentence."""

from typing import Final

TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}

SENTENCES: Final = {
    400: "The request was refused by a scripted fault",
    401: "invalid x-api-key",
    403: "Your API key does not have permission to use the specified resource",
    404: "Not found",
    413: "Request exceeds the maximum size",
    429: "This request would exceed your organization's rate limit",
    500: "Internal server error",
    504: "Request timed out",
    529: "Overloaded",
}


class ApiError(Exception):
    """An answer other than 200. `retry_after` in seconds becomes the header of that name."""

    def __init__(self, status: int, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message or SENTENCES[status])
        self.status = status
        self.retry_after = retry_after

    def body(self, request_id: str) -> dict[str, object]:
        return {
            "type": "error",
            "error": {"type": TYPES[self.status], "message": str(self)},
            "request_id": request_id,
        }
