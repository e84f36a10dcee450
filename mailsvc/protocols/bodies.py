"""Reading the body of a request, whole or not at all; the same for every dialect."""

from flask import Request
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge

BYTES = 1024 * 1024
"""The largest body that is read."""


def whole(request: Request) -> bytes:
    """The body as it was announced.

    Raises RequestEntityTooLarge over BYTES, however it was sent, and BadRequest when it ended before its announced
    length or could not be read: half a body may look like a whole one with other values.
    """
    length = request.content_length
    try:
        if length is None:
            return _of_unknown_length(request)
        if length > BYTES:
            raise RequestEntityTooLarge
        # Not by Werkzeug's stream, which takes three times as long to count what the server has counted already.
        body: bytes = request.environ["wsgi.input"].read(length)
    except HTTPException:
        raise
    except Exception as error:
        # Only the client or the line can be at fault: a chunk without a length, a connection that broke.
        raise BadRequest from error
    if len(body) < length:
        raise BadRequest
    return body


def _of_unknown_length(request: Request) -> bytes:
    # Werkzeug cuts it at the limit and says nothing: one more tells full from overflowing.
    request.max_content_length = BYTES + 1
    body = request.get_data(cache=False)
    if len(body) > BYTES:
        raise RequestEntityTooLarge
    return body
