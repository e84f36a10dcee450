"""Mail does not depend on mailsvc running: it is stopped, killed, restarted, restored from a backup, or never was."""

import imaplib
import smtplib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from mailsvc.store import files
from tests.mailhost.arrangement import certify, dovecot, mailsvc, postfix, powerdns, require_all
from tests.mailhost.host import LIMIT, SENDER, Daemon, Host
from tests.mailhost.site import Site
from tests.servers.process import run_directory
from tests.service.running import wait_until


def test_mail_goes_on_while_mailsvc_is_stopped(host: Host) -> None:
    host.add("steady@example.org")
    host.service.stop()
    try:
        host.send("steady@example.org", "meanwhile")
        assert host.inbox("steady@example.org") == ["meanwhile"]
        with host.submission("steady@example.org") as connection:
            message = "From: steady@example.org\r\nSubject: sent\r\n\r\n"
            connection.sendmail("steady@example.org", ["steady@example.org"], message)
        assert "SOA" in str(host.name_server.query("example.org", "SOA").answer[0])
    finally:
        host.service.start()
    host.wait_for_delivery()
    assert host.inbox("steady@example.org") == ["meanwhile", "sent"]
    host.add("later@example.org")
    assert host.lets_in("later@example.org")


def test_mail_flows_while_mailsvc_is_killed_stopped_and_started(host: Host) -> None:
    host.add("stream@example.org")
    with flowing(host, "stream@example.org") as sent:
        for number, end in enumerate((host.service.kill, host.service.stop)):
            end()
            before = len(sent)
            wait_until(lambda: len(sent) > before + 5, "mail without mailsvc")  # noqa: B023 - called at once
            host.service.start()
            host.add(f"after.{number}@example.org")
            host.send(f"after.{number}@example.org", "right away")
            assert host.inbox(f"after.{number}@example.org") == ["right away"]
    host.wait_for_delivery()
    assert sorted(host.inbox("stream@example.org"), key=int) == sent


@contextmanager
def flowing(host: Host, address: str) -> Iterator[list[str]]:
    """Mail for ``address``, one after the other, for as long as the block lasts; what was accepted so far."""
    sent: list[str] = []
    failures: list[Exception] = []
    enough = threading.Event()

    def flow() -> None:
        while not enough.is_set():
            try:
                with host.smtp() as connection:
                    connection.sendmail(SENDER, [address], f"Subject: {len(sent)}\r\n\r\nHello\r\n")
                sent.append(str(len(sent)))
            except (OSError, smtplib.SMTPException) as error:
                failures.append(error)
            enough.wait(0.02)

    thread = threading.Thread(target=flow)
    thread.start()
    try:
        yield sent
    finally:
        enough.set()
        thread.join()
    assert failures == []


def test_a_restored_backup_is_in_force_at_once(whole_host: Host) -> None:
    # Not ``host``: Dovecot logs errors about its own workers when it is reloaded in the midst of a login.
    host = whole_host
    host.add("before@example.org", "changed@example.org")
    host.send("before@example.org", "kept")
    copy = host.site.directory / "copy.sqlite3"
    host.command(f"backup {copy}")
    host.add("after@example.org")
    host.command("mailbox passwd changed@example.org --password-stdin", stdin="Box-2\n")
    assert host.call("delmail", email="before@example.org") == 0
    assert host.recipient("after@example.org")[0] == 250

    host.command(f"restore {copy}")
    host.reload_dovecot("changed@example.org")

    wait_for(host.site, 550, "after@example.org")
    assert not host.lets_in("after@example.org")
    assert host.lets_in("changed@example.org")
    host.send("before@example.org", "received again")
    assert host.inbox("before@example.org") == ["kept", "received again"]
    host.add("after@example.org")
    assert host.lets_in("after@example.org")
    assert host.queued() == []


@pytest.fixture(scope="module")
def fresh() -> Iterator[Site]:
    """A site whose servers are configured, and whose mailsvc has never run."""
    require_all()
    with run_directory("mailhost") as directory:
        site = Site.pasted(directory)
        certify(directory / "tls")
        site.configure_servers()
        yield site


def test_a_postfix_that_finds_a_port_taken_is_not_taken_for_one_that_runs(fresh: Site) -> None:
    taken = socket.create_server(("127.0.0.1", fresh.ports.submissions))
    with taken, pytest.raises(RuntimeError, match="ended with 1"), postfix(fresh):
        pass


def test_readers_can_start_before_the_first_writer(fresh: Site) -> None:
    with ExitStack() as stack:
        stack.enter_context(postfix(fresh))
        stack.enter_context(dovecot(fresh))
        assert answer_about("info@example.org", fresh)[0] // 100 == 4, "who cannot look does not say there is nobody"
        service = stack.enter_context(Daemon(lambda: mailsvc(fresh)))
        fresh.make_first_mailbox()
        wait_for(fresh, 250, "info@example.org")
        wait_for(fresh, 550, "nobody@example.org")
        host = Host(fresh, stack.enter_context(powerdns(fresh)), service)
        wait_until(lambda: lets_in(host, "info@example.org"), "Dovecot to find the database")
        host.send("info@example.org", "the first")
        assert host.inbox("info@example.org") == ["the first"]


def test_readers_can_start_while_mailsvc_is_stopped_or_was_killed(fresh: Site) -> None:
    for end in (Daemon.stop, Daemon.kill):
        with Daemon(lambda: mailsvc(fresh)) as service:
            end(service)
        with postfix(fresh), dovecot(fresh), powerdns(fresh) as name_server:
            host = Host(fresh, name_server, service)
            host.send("info@example.org", end.__name__)
            assert host.inbox("info@example.org")[-1] == end.__name__
            assert "SOA" in str(name_server.query("example.org", "SOA").answer[0])


def test_without_their_companions_nobody_is_refused_and_the_unit_mends_it(fresh: Site) -> None:
    for companion in files.companions(fresh.database):
        companion.unlink(missing_ok=True)
    with postfix(fresh), dovecot(fresh):
        assert answer_about("info@example.org", fresh)[0] // 100 == 4
        fresh.run(fresh.unit("ExecStopPost").removeprefix("-"))
        wait_for(fresh, 250, "info@example.org")


def wait_for(site: Site, code: int, address: str) -> None:
    """Until Postfix answers RCPT for ``address`` with ``code``; a failure shows what it said instead, and the logs."""
    expires = time.monotonic() + LIMIT
    while (answer := answer_about(address, site))[0] != code:
        assert time.monotonic() < expires, f"{address}: {answer}, never {code}\n{site.logs()}"
        time.sleep(0.01)


def answer_about(address: str, site: Site) -> tuple[int, str]:
    """What Postfix answers to RCPT for ``address``; 421 and why when it gives no answer at all."""
    try:
        with smtplib.SMTP("127.0.0.1", site.ports.smtp, timeout=5) as connection:
            connection.ehlo()
            connection.mail(SENDER)
            code, text = connection.rcpt(address)
            return code, text.decode()
    except (OSError, smtplib.SMTPException) as silence:
        return 421, str(silence)


def lets_in(host: Host, address: str) -> bool:
    """Whether IMAP lets in by now."""
    with suppress(imaplib.IMAP4.error):
        host.inbox(address)
        return True
    return False
