"""Why a use-case says no.

A refusal carries facts as keyword arguments and knows no code, language or HTTP: each dialect decides how its wire
says it. Anything raised that is not a ``Refusal`` is a bug or a broken machine, never a normal answer.
"""

from typing import Any


class Refusal(Exception):
    """Base of all refusals. ``facts`` are the values a text may name; none of them is ever a secret."""

    def __init__(self, **facts: Any) -> None:
        super().__init__(*facts.values())
        self.facts = facts

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.facts.items())


class BadInput(Refusal):
    """A value does not have the form its rule asks for. Facts: ``field`` and, where one helps, ``reason``."""


class NotSignedIn(Refusal):
    """The credentials are missing, wrong, or belong to a user who is not active: callers are not told which."""


class TooOften(Refusal):
    """Too many failed sign-ins for this pair of user name and client address."""


class NotYours(Refusal):
    """The caller may not act for that user."""


class UnknownUser(Refusal):
    """No panel user of that name. Fact: ``user``."""


class UnknownDomain(Refusal):
    """The domain is not on this server, or not within the acting user's scope. Fact: ``domain``."""


class NoSuchMailbox(Refusal):
    """No such mailbox within the acting user's scope. Fact: ``address``."""


class NothingStored(Refusal):
    """There is nothing to list, show or remove. Facts say of what."""


class NoSuchTarget(Refusal):
    """The forward exists but does not have this target. Facts: ``source``, ``target``."""


class AlreadyExists(Refusal):
    """The thing to be added is already there. Fact: its name."""


class AlreadyInThatState(Refusal):
    """The switch already stands where the caller wants it. Fact: ``domain``."""


class LimitReached(Refusal):
    """A limit of the owner's plan is used up. Facts: ``user``, ``limit``."""


class TooManyTargets(Refusal):
    """A forward would have more targets than one rule may have. Facts: ``source``, ``limit``."""


class ForwardLoop(Refusal):
    """Mail would come back to where it started. Facts: ``source``, ``target`` (the first one that closes the loop)."""


class StillOwnsDomains(Refusal):
    """The user cannot be removed while domains belong to him. Facts: ``user``, ``domains``."""


class LastRoot(Refusal):
    """Without this user nobody could administer the server. Fact: ``user``."""


class PublishFailed(Refusal):
    """The DNS back-end did not take the change. Facts: ``name`` of the record, ``reason`` in clear words."""
