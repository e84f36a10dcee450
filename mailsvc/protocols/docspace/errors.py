"""The envelope of this wire: success, and failure in its two forms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from flask import Request
from werkzeug.wrappers import Response

from mailsvc.observation import note, request_id
from mailsvc.protocols import asc_wire

PROBLEM = "https://tools.ietf.org/html/rfc9110#section-15.5.1"


@dataclass(frozen=True, slots=True)
class Failure:
    """What a refused call is told: ``type`` and ``hresult`` as the vendor's runtime calls the same."""

    status: int
    message: str
    type: str | None = None
    hresult: int = 0


DENIED = Failure(403, asc_wire.ACCESS_DENIED, "System.Security.SecurityException", asc_wire.SECURITY)
TOO_LARGE = Failure(413, "Request body too large.")
WRONG_TYPE = Failure(415, "Unsupported Media Type")
TOO_MANY = Failure(429, "Too many requests")
BROKEN = Failure(500, "Internal Server Error")


def success(request: Request, response: Any = None, status: int = 200) -> Response:
    """The envelope around ``response``; without one it counts nothing."""
    note(code=status)
    return asc_wire.answer(envelope(url_of(request), request.method, response, status), status)


def envelope(url: str, method: str, response: Any, status: int) -> Mapping[str, Any]:
    """The members of a success."""
    links = [{"href": url, "action": method}]
    if response is None:
        return {"count": 0, "links": links, "status": 0, "statusCode": status}
    return {"response": response, "count": 1, "links": links, "status": 0, "statusCode": status}


def failed(failure: Failure) -> Response:
    """The error form."""
    note(code=failure.status)
    return asc_wire.answer(body_of(failure), failure.status)


def body_of(failure: Failure) -> Mapping[str, Any]:
    """The members of the error form."""
    error = {"message": failure.message, "type": failure.type, "stack": None, "hresult": failure.hresult}
    return {"error": error, "status": 1, "statusCode": failure.status}


def invalid(request: Request, errors: Mapping[str, Sequence[str]]) -> Response:
    """The problem form: what is wrong with which member."""
    note(code=400)
    return asc_wire.answer(problem(url_of(request), request.method, errors, request_id()), 400)


def problem(url: str, method: str, errors: Mapping[str, Sequence[str]], trace: str) -> Mapping[str, Any]:
    """The members of the problem form."""
    found = {
        "errors": errors,
        "type": PROBLEM,
        "title": "One or more validation errors occurred.",
        "status": 400,
        "traceId": trace,
    }
    links = [{"href": url, "action": method}]
    return {"response": found, "count": 1, "links": links, "status": 1, "statusCode": 400}


def empty(status: int, **headers: str) -> Response:
    """No body at all: who is not known, and what is not there, is told nothing."""
    note(code=status)
    return Response(b"", status, headers, content_type=asc_wire.CONTENT_TYPE)


def url_of(request: Request) -> str:
    """What was asked for, whole."""
    # No path of this dialect holds what would have to be quoted.
    url = f"{request.scheme}://{request.host}{request.path}"
    query = request.query_string
    return f"{url}?{quote(query, safe=_OF_A_QUERY)}" if query else url


_OF_A_QUERY = "!$&'()*+,;=:@/?-._~%[]"
