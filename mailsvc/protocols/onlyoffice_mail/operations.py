"""THE TABLE: every method with what it reads, what it does, and what it says of an address. Read it next to the
contract, section 4."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import Schema

from mailsvc.core.acts import Act
from mailsvc.protocols.onlyoffice_mail import errors, handlers, schemas
from mailsvc.protocols.onlyoffice_mail.errors import Failure
from mailsvc.services.ports import Ports

PREFIX = "/api/2.0/mail/"

Handler = Callable[[Ports, Act, Mapping[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """A row of the table.

    ``missing`` is what is answered without an ``email``, None where none is asked for; ``unknown`` what is answered
    when the caller has no such account; ``full`` that the servers of an account are sent, with ranges to be kept;
    ``writes`` that it goes on the audit trail.
    """

    name: str
    summary: str
    method: str
    path: str
    schema: Schema
    handler: Handler | None
    missing: Failure | None = None
    unknown: Callable[[str], Failure] = errors.not_found
    full: bool = False
    writes: bool = True


def _always(failure: Failure) -> Callable[[str], Failure]:
    return lambda _email: failure


_SINGLE = (schemas.Email(), handlers.single, errors.EMAIL_EMPTY)
_DELETE = (schemas.Email(), handlers.remove, errors.EMAIL_EMPTY)

# fmt: off
OPERATIONS = (
    Operation("listAccounts", "List the caller's accounts",
              "GET", "accounts", schemas.Nothing(), handlers.listed, writes=False),
    Operation("getAccount", "Show the settings of an account",
              "GET", "accounts/single", *_SINGLE, writes=False),
    Operation("getAccountByAddress", "Show the settings of an account",
              "GET", "accounts/{email}", *_SINGLE, writes=False),
    Operation("createAccount", "Add an account, or overwrite it, after a login to its servers",
              "POST", "accounts", schemas.Post(), handlers.add, errors.NULL_ADDRESS, full=True),
    Operation("createAccountSimple", "Add an account of a known provider by its address and password",
              "POST", "accounts/simple", schemas.Simple(), handlers.add_simply, errors.EMPTY_EMAIL),
    Operation("updateAccount", "Change an account, after a login to its servers",
              "PUT", "accounts", schemas.Put(), handlers.change, errors.OUT_OF_RANGE,
              _always(errors.BROKEN), full=True),
    Operation("deleteAccount", "Remove an account; mail that was collected stays",
              "DELETE", "accounts", *_DELETE),
    Operation("deleteAccountByAddress", "Remove an account; mail that was collected stays",
              "DELETE", "accounts/{email}", *_DELETE),
    Operation("setAccountState", "Collect the mail of an account, or do not",
              "PUT", "accounts/state", schemas.State(), handlers.set_state, errors.NULL_EMAIL),
    Operation("setDefaultAccount", "Make an account the default, or have none",
              "PUT", "accounts/default", schemas.Default(), handlers.set_default, errors.NULL_EMAIL,
              _always(errors.NO_ACCOUNT)),
    Operation("getAccountSetups", "Show what the settings of an account may be",
              "GET", "accounts/setups", schemas.Setups(), handlers.setups, errors.NULL_ADDRESS, writes=False),
    Operation("createOAuthAccount", "Not offered",
              "POST", "accounts/oauth", schemas.Nothing(), None, writes=False),
    Operation("updateOAuthAccount", "Not offered",
              "PUT", "accounts/oauth", schemas.Nothing(), None, writes=False),
    Operation("getOperation", "Ask what became of a removal, which is complete",
              "GET", "operations/{id}", schemas.Nothing(), handlers.operation, writes=False),
)
# fmt: on

LITERAL = {operation.path for operation in OPERATIONS if "{" not in operation.path}

_BY_PATH = {(operation.method, operation.path): operation for operation in OPERATIONS}


def found(method: str, path: str) -> tuple[Operation | None, str | None]:
    """The operation at ``path`` (below ``/api/2.0/mail/``, decoded), and the part of it that is no literal name."""
    name = path.removesuffix("/").removesuffix(".json")
    if name in LITERAL:
        return _BY_PATH.get((method, name)), None
    folder, _, last = name.partition("/")
    # Another representation is not offered, and nobody's address ends so.
    if not last or last.endswith(".xml") or folder not in ("accounts", "operations"):
        return None, None
    pattern = "accounts/{email}" if folder == "accounts" else "operations/{id}"
    return _BY_PATH.get((method, pattern)), last
