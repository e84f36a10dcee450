"""Who calls (contract, section 2): the same credentials as the DocSpace dialect takes."""

from flask import Request

from mailsvc.protocols import asc_identity
from mailsvc.protocols.asc_identity import Caller
from mailsvc.services.ports import Ports

EFFECTS = frozenset({"POST", "PUT", "DELETE"})


def prove(ports: Ports, request: Request) -> Caller:
    """Raises NotSignedIn, TooOften."""
    return asc_identity.prove(ports, request)


def refuse_forged(request: Request, caller: Caller) -> None:
    """Refuse what another site may have made a browser send. Raises asc_identity.Forged."""
    if request.method in EFFECTS:
        asc_identity.refuse_forged(request, caller, always_has_body=request.method != "DELETE")
