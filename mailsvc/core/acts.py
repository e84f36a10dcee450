"""Who does what, for whom: the value that travels from a face of the service into its use-cases."""

from dataclasses import dataclass

ROOT = "root"
USER = "user"
ROLES = (USER, ROOT)

LANGUAGES = ("en", "ru")


@dataclass(frozen=True, slots=True)
class PanelUser:
    """A user of the panel as the use-cases need him; never his password."""

    id: int
    name: str
    role: str
    language: str | None = None

    @property
    def is_root(self) -> bool:
        return self.role == ROOT


@dataclass(frozen=True, slots=True)
class Act:
    """One operation under way.

    ``caller`` is who proved himself, ``acting`` for whom it is done: his domains are the scope, and a root's scope is
    every domain. ``done`` is the code that the dialect's wire gives for success, kept in the audit trail.
    """

    dialect: str
    operation: str
    caller: str
    acting: PanelUser
    done: int = 0
    request_id: str | None = None
