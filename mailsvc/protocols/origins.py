"""Whether a browser sends a request on behalf of another site.

Browsers add cookies and remembered Basic credentials to such requests by themselves, and say where they come from.
"""

from urllib.parse import urlsplit

from flask import Request

_PORTS = {"http": 80, "https": 443}


def is_foreign(request: Request, *, sites: frozenset[str] = frozenset({"cross-site", "same-site"})) -> bool:
    """Whether ``Sec-Fetch-Site`` is one of ``sites``, or ``Origin`` names another host and port than the request's."""
    if request.headers.get("Sec-Fetch-Site") in sites:
        return True
    origin = request.headers.get("Origin")
    return origin is not None and not same_host(origin, request.host)


def is_of_another(request: Request) -> bool:
    """Whether the request was made by a page of another origin: ``Sec-Fetch-Site`` says so, or ``Origin``, else
    ``Referer``, names another scheme, host or port than the request's own. A request that says nothing was not.
    """
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        return True
    page = request.headers.get("Origin")
    page = request.headers.get("Referer") if page is None else page
    return page is not None and not (_scheme_of(page) == request.scheme and same_host(page, request.host))


def _scheme_of(page: str) -> str:
    return page.partition(":")[0].lower()


def same_host(origin: str, host: str) -> bool:
    """Whether ``origin`` is of ``host`` (a Host header), each with its usual port where it names none."""
    try:
        of_origin = urlsplit(origin)
        of_host = urlsplit(f"{of_origin.scheme}://{host}")
        usual = _PORTS[of_origin.scheme]
        return (of_origin.hostname, of_origin.port or usual) == (of_host.hostname, of_host.port or usual)
    except (KeyError, ValueError):
        return False
