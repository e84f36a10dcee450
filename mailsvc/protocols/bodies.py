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
    if request.content_length is None:
        # Werkzeug cuts a body of unknown length at the limit and says nothing: one more tells full from overflowing.
        request.max_content_length = BYTES + 1
    try:
        body = request.get_data(cache=False)
    except HTTPException:
        raise
    except Exception as error:
        # Only the client or the line can be at fault: a chunk without a length, a connection that broke.
        raise BadRequest from error
    if len(body) > BYTES:
        raise RequestEntityTooLarge
    if request.content_length is not None and len(body) < request.content_length:
        raise BadRequest
    return body
