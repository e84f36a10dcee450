"""Postfix's look-ups, by postmap: each map as a process that starts now would read it, and as the running one does."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mailsvc.doctor import programs
from mailsvc.doctor.findings import Finding, absent, failed, ok
from mailsvc.doctor.machine import Machine
from mailsvc.doctor.programs import Done
from mailsvc.doctor.samples import Samples
from mailsvc.mailhost.layout import Layout


class Map(NamedTuple):
    """A rendered map, a question for a key that it knows, and what it is to answer."""

    file: str
    key: str
    answer: str


MAPS = (
    Map("domains.cf", "SELECT name FROM postfix_domain LIMIT 1", "SELECT name FROM postfix_domain WHERE name = ?"),
    Map(
        "mailboxes.cf",
        "SELECT address FROM postfix_mailbox LIMIT 1",
        "SELECT incarnation FROM postfix_mailbox WHERE address = ?",
    ),
    Map(
        "aliases.cf",
        "SELECT address FROM postfix_alias LIMIT 1",
        "SELECT target FROM postfix_alias WHERE address = ?",
    ),
    Map(
        "catch-all.cf",
        "SELECT '@' || domain FROM postfix_catch_all LIMIT 1",
        "SELECT target FROM postfix_catch_all WHERE domain = substr(?, 2)",
    ),
    Map(
        "senders.cf",
        "SELECT address FROM postfix_sender_login LIMIT 1",
        "SELECT login FROM postfix_sender_login WHERE address = ?",
    ),
)

NOBODY = "nobody@doctor.invalid"
"""What no map knows: that it says so shows that it answers."""

_HARMLESS = re.compile(r"^.*: warning: .*main\.cf, line [0-9]+: overriding earlier entry: .*\n?", re.MULTILINE)
"""What is said of changes after the rendered part, where the page tells administrators to put them."""

_NOT_FOUND = 1
"""What postmap ends with then, and says nothing."""


def examine(machine: Machine, layout: Layout, samples: Samples) -> Iterator[Finding]:
    """Every map, directly and through the running proxymap."""
    postmap = programs.where("postmap")
    if postmap is None:
        yield absent("Postfix", "not installed")
        return
    if not programs.is_known(layout.postfix_user):
        yield failed("Postfix", f"there is no user {layout.postfix_user}", "apt install --reinstall postfix")
        return
    is_running = programs.run(programs.where("postfix") or "postfix", "-c", str(machine.postfix), "status")
    if programs.is_root() and is_running.status:
        yield failed("Postfix", "it does not run: no mail is taken", "systemctl start postfix")
    yield from _destinations(machine, samples)
    for one in MAPS:
        yield from _map(machine, layout, samples, one, postmap, runs=not is_running.status)


def _destinations(machine: Machine, samples: Samples) -> Iterator[Finding]:
    """Postfix knows a domain in one way only, and the machine's own users come first."""
    asked = programs.run(programs.where("postconf") or "postconf", "-c", str(machine.postfix), "-hx", "mydestination")
    own = asked.out.replace(",", " ").split()
    ours = [name for name in own if samples.texts("SELECT name FROM postfix_domain WHERE name = ?", name)]
    if ours:
        cause = f"{', '.join(ours)} stands in mydestination: its mail goes to users of this machine, not to mailboxes"
        rest = ", ".join(name for name in own if name not in ours)
        mend = f"echo 'mydestination = {rest}' >> {machine.postfix}/main.cf && postfix reload"
        yield failed("mydestination", cause, mend)


def _map(
    machine: Machine, layout: Layout, samples: Samples, one: Map, postmap: str, *, runs: bool
) -> Iterator[Finding]:
    key = samples.first(one.key)
    path = Path(layout.directory) / "postfix" / one.file
    # The running one only after the other: it dies of what it cannot read, and is then held back for seconds.
    for kind in ("sqlite", "proxy:sqlite") if runs else ("sqlite",):
        check, asked = f"{kind}:{one.file}", key or NOBODY
        before = samples.texts(one.answer, asked)
        said = programs.run(
            postmap, "-c", str(machine.postfix), "-q", asked, f"{kind}:{path}", user=layout.postfix_user
        )
        done = said._replace(err=_HARMLESS.sub("", said.err))
        expected = before, samples.texts(one.answer, asked)
        fault = _fault(done, expected, asked)
        if fault:
            yield failed(check, fault, _mend(machine, layout, done, kind))
            return
        told = f"knows {asked}" if key else "answers; there is nothing in it to be asked for"
        yield ok(check, f"{told} (as {_asker(layout)})")


def _asker(layout: Layout) -> str:
    return f"user {layout.postfix_user}" if programs.is_root() else "oneself"


def _fault(done: Done, expected: tuple[set[str], set[str]], asked: str) -> str:
    if done.err.strip() or done.status not in (0, _NOT_FOUND):
        return f"postmap: {done.cause}"
    found = set(done.out.strip().split(",")) - {""}
    if found not in expected:
        return f"answers {', '.join(sorted(found)) or 'nothing'} for {asked}, which is not what the database holds"
    return ""


def _mend(machine: Machine, layout: Layout, done: Done, kind: str) -> str:
    user, group = layout.postfix_user, layout.read_group
    if "unsupported dictionary type" in done.err:
        return "apt install postfix-sqlite"
    if group not in programs.groups_of(user):
        return f"usermod --append --groups {group} {user} && systemctl restart postfix"
    if kind == "proxy:sqlite":
        # It started before its user was in the group, or before the database was restored.
        return "systemctl restart postfix"
    if not done.err.strip() or "prepare failed" in done.err or "No such file" in done.err:
        return f"mailsvc mailhost render {machine.tree} && postfix reload"
    return "systemctl restart mailsvc"
