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
    """Too many failed sign-ins for this pair of user name and client address, or more calls than a limit allows.

    Fact: ``seconds`` until there is a use in trying again, rounded up.
    """


class TooBusy(Refusal):
    """As many conversations with foreign servers as there may be are under way; soon there will be fewer."""


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


class NothingToRestore(Refusal):
    """No removed mailbox of that address can be brought back. Fact: ``address``."""


class NoSuchTarget(Refusal):
    """The forward exists but does not have this target. Facts: ``source``, ``target``."""


class AlreadyExists(Refusal):
    """The thing to be added is already there. Fact: its name."""


class GivenByServer(Refusal):
    """A value that the server gives was sent with another content. Facts: ``stored``, ``sent``.

    What was sent may be anything, a secret too: whoever sent it may see it, no log.
    """

    def __str__(self) -> str:
        return f"stored={self.facts['stored']}"


class AlreadyInThatState(Refusal):
    """The switch already stands where the caller wants it. Fact: ``domain``."""


class NoDkimKey(Refusal):
    """The domain has no DKIM key that this could be done with, or would have none left. Fact: ``domain``."""


class RotationUnderWay(Refusal):
    """A new DKIM key of the domain is being brought up already. Fact: ``domain``."""


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


class NoSuchAccount(Refusal):
    """The acting user has no external account of that address. Fact: ``email``."""


class LoginRejected(Refusal):
    """The servers of an external account did not let mailsvc in.

    Fact: ``attempts``, each with ``protocol`` and, as text or None where all went well, ``incoming`` and ``outgoing``.
    """


class UnknownProvider(Refusal):
    """Nothing is known of the servers of that mail domain. Fact: ``domain``."""


class ChangedMeanwhile(Refusal):
    """Somebody else changed the same thing while this was under way: it would undo what he did. Fact: its name."""
