"""The homes of mailboxes on disk, named by incarnation: a mailbox that is made again never sees its predecessor's mail.

    <mail root>/<first two characters of the incarnation>/<incarnation>/          the home (sieve scripts and the like)
    <mail root>/<first two characters of the incarnation>/<incarnation>/Maildir   the mail

The level between keeps directories small. Dovecot is told the same rule in its own words, from the same store.
"""

import re
from pathlib import Path

INCARNATION = re.compile(r"[0-9a-f]{32}")
"""The form of every incarnation. Nothing else below the mail root is ours."""

SHARD = 2
"""How many characters of the incarnation name the level between."""


def home(root: Path, incarnation: str) -> Path:
    """The home directory of the mailbox with that incarnation, below the mail root ``root``."""
    return root / incarnation[:SHARD] / incarnation


def maildir(root: Path, incarnation: str) -> Path:
    """The Maildir in the home of the mailbox with that incarnation."""
    return home(root, incarnation) / "Maildir"
