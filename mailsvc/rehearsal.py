"""What most requests do, done once before it counts: in gunicorn's master, before the workers are forked.

What the first calls make is made in pages that all workers share then: statements in SQL, the libraries' tables, and
the code itself, which CPython rewrites while it becomes warm. Made in each worker, it costs memory three times over
(docs/performance.md). Nothing of it leaves a trace: it happens on an empty copy of the database, in memory, and outside
of the log and the metrics.
"""

import logging
import sqlite3
from dataclasses import replace

from flask import Flask
from werkzeug.test import EnvironBuilder, run_wsgi_app

from mailsvc.core.acts import ROOT, USER, Act, PanelUser
from mailsvc.core.addresses import Address, mailbox_address
from mailsvc.dns.database import ServedViews
from mailsvc.observation import requests
from mailsvc.services import audit, domains, forwards, mailboxes, sign_in, spf, throttle, users
from mailsvc.services.ports import Ports
from mailsvc.store import files

log = logging.getLogger("mailsvc.rehearsal")

TIMES = 5
"""How often each call is made, for root and for another: CPython begins to rewrite a function at its eighth."""

NAME = "rehearsal"
DOMAIN = "rehearsal.example"


def hold(app: Flask) -> None:
    """Rehearse ``app``. Afterwards no connection is open, and no thread is left.

    On PostgreSQL, which has no database in memory, nothing is done.
    """
    ports: Ports = app.extensions["mailsvc"]
    file = ports.settings.database_file
    if file is None:
        return
    try:
        with ports.store.elsewhere(_empty_copy(ports)):
            # Whatever publishes records: the world must not hear of these.
            _play(app, replace(ports, dns=ServedViews()))
    except Exception:
        log.warning("the rehearsal failed: the workers will need more memory", exc_info=True)
    finally:
        ports.passwords.rest()
        ports.store.close()
        files.make_readable(file)


def _empty_copy(ports: Ports) -> sqlite3.Connection:
    """A database in memory that has everything of the real one but its rows."""
    with ports.store.reading() as unit:
        made = unit.exec_driver_sql(
            "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
            " ORDER BY type <> 'table', rowid"
        ).scalars()
        script = ";\n".join(made)
    copy = sqlite3.connect(":memory:")
    copy.executescript(script)
    return copy


def _play(app: Flask, ports: Ports) -> None:
    root = Act("cli", NAME, NAME, PanelUser(0, NAME, ROOT))
    users.add(ports, root, name=NAME, password=NAME, role=USER)
    domains.add(ports, root, name=DOMAIN, owner=NAME)
    box = mailbox_address(f"box@{DOMAIN}")
    mailboxes.add(ports, root, address=box, password=NAME, quota_mib=0)
    for _ in range(TIMES):
        user = sign_in.by_password(ports, name=NAME, password=NAME, address="")
        # What is asked for root is not what is asked for others.
        for act in (root, replace(root, acting=user)):
            _call(ports, act, box)
            _ask(app)
    mailboxes.remove(ports, root, address=box)


def _call(ports: Ports, act: Act, box: Address) -> None:
    mailboxes.listed(ports, act.acting)
    mailboxes.change_quota(ports, act, address=box, quota_mib=1)
    forwards.add(ports, act, source=box, targets=[mailbox_address("box@elsewhere.example")])
    forwards.listed(ports, act.acting)
    forwards.remove(ports, act, source=box)
    spf.enable(ports, act, domain=DOMAIN)
    spf.disable(ports, act, domain=DOMAIN)
    audit.refused(ports, act, DOMAIN, outcome="BadInput", code=2)
    with ports.store.writing() as unit:
        throttle.note_failure(unit, throttle.pair_of("nobody", ""))


def _ask(app: Flask) -> None:
    """A request that nobody sees: within what logs and counts."""
    requests.unseen()
    run_wsgi_app(lambda environ, begin_answer: Flask.wsgi_app(app, environ, begin_answer),
                 EnvironBuilder("/healthz").get_environ())  # fmt: skip
