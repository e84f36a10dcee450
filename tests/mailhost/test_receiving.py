"""Who receives and who gets in, from the 0 of the panel's call on."""

import socket
import sqlite3
from contextlib import ExitStack, closing

from tests.mailhost.host import LIMIT, Host


def test_a_mailbox_receives_and_lets_in_from_the_0_of_addmail_on(host: Host) -> None:
    assert host.recipient("new@example.org")[0] == 550
    assert not host.lets_in("new@example.org")
    assert host.pop3("new@example.org") is None

    host.add("new@example.org")

    assert host.inbox("new@example.org") == []
    assert host.pop3("new@example.org") == 0
    assert host.recipient("new@example.org")[0] == 250
    host.send("New@Example.ORG", "first")
    assert host.inbox("new@example.org") == ["first"]
    assert host.pop3("NEW@example.org") == 1
    assert not host.lets_in("new@example.org", "Box-2")
    assert host.pop3("new@example.org", "Box-2") is None
    assert host.lets_in("NEW@example.org")


def test_strangers_cannot_send_to_the_unknown_nor_through(host: Host) -> None:
    code, text = host.recipient("nobody@example.org")
    assert (code, "User unknown in virtual mailbox table" in text) == (550, True)
    assert host.recipient("x'or'1'='1@example.org")[0] == 550
    code, text = host.recipient("someone@not-ours.test")
    assert (code, "Relay access denied" in text) == (554, True)


def test_what_follows_a_plus_belongs_to_the_box_before_it_unless_it_has_a_box(host: Host) -> None:
    host.add("ann@example.org", "ann+shop@example.org")

    host.send("ann+bank@example.org", "to ann")
    host.send("ann+shop@example.org", "to the shop's box")

    assert host.inbox("ann@example.org") == ["to ann"]
    assert host.inbox("ann+shop@example.org") == ["to the shop's box"]
    assert host.recipient("ben+ann@example.org")[0] == 550


def test_a_deleted_mailbox_is_refused_and_a_new_one_in_its_place_is_empty(host: Host) -> None:
    host.add("again@example.org")
    host.send("again@example.org", "of the predecessor")
    assert host.inbox("again@example.org") == ["of the predecessor"]

    assert host.call("delmail", email="again@example.org") == 0
    assert host.recipient("again@example.org")[0] == 550
    assert not host.lets_in("again@example.org")

    host.add("again@example.org")
    assert host.inbox("again@example.org") == []
    host.send("again@example.org", "of the successor")
    assert host.inbox("again@example.org") == ["of the successor"]


def test_a_disabled_mailbox_receives_and_lets_nobody_in(host: Host) -> None:
    host.add("off@example.org")
    assert host.lets_in("off@example.org")
    host.command("mailbox disable off@example.org")
    assert not host.lets_in("off@example.org")
    assert host.pop3("off@example.org") is None
    host.send("off@example.org", "meanwhile")
    host.command("mailbox enable off@example.org")
    assert host.inbox("off@example.org") == ["meanwhile"]


def test_a_changed_password_acts_at_once_and_the_old_one_no_more(host: Host) -> None:
    host.add("turn@example.org", password="Old-1")
    assert host.lets_in("turn@example.org", "Old-1")
    assert not host.lets_in("turn@example.org", "New-1"), "which must not be remembered either"
    host.command("mailbox passwd turn@example.org --password-stdin", stdin="New-1\n")
    assert not host.lets_in("turn@example.org", "Old-1")
    assert host.lets_in("turn@example.org", "New-1")


def test_more_than_a_hundred_are_connected_at_once(host: Host) -> None:
    host.add("late@example.org")
    with ExitStack() as open_ones:
        for port in (host.site.ports.imaps, host.site.ports.pop3s):
            for _ in range(101):
                plain = open_ones.enter_context(socket.create_connection(("127.0.0.1", port), timeout=LIMIT))
                open_ones.enter_context(host.tls().wrap_socket(plain, server_hostname="127.0.0.1")).recv(4096)
        assert host.lets_in("late@example.org")
        assert host.pop3("late@example.org") == 0


def test_nobody_gives_his_password_away(host: Host) -> None:
    # From elsewhere: between equal addresses Dovecot thinks TLS needless.
    with socket.create_connection(("127.0.0.1", host.site.ports.imap), source_address=("127.0.0.2", 0)) as plain:
        greeting = plain.recv(4096)
    assert b"STARTTLS" in greeting and b"LOGINDISABLED" in greeting and b"AUTH=" not in greeting
    with socket.create_connection(("127.0.0.1", host.site.ports.pop3), source_address=("127.0.0.2", 0)) as plain:
        assert plain.recv(4096).startswith(b"+OK")
        plain.sendall(b"USER info@example.org\r\n")
        assert plain.recv(4096).startswith(b"-ERR")


def test_each_login_is_noted_in_a_database_of_dovecots_own(host: Host) -> None:
    host.add("seen@example.org")
    host.send("seen@example.org", "a delivery is no login")
    file = host.site.directory / "var/lib/dovecot/mailsvc/last-login.sqlite3"
    with closing(sqlite3.connect(file)) as connection:

        def noted() -> dict[str, int]:
            query = "SELECT service, at FROM last_login WHERE address = 'seen@example.org'"
            return dict(connection.execute(query).fetchall())

        assert noted() == {}
        assert host.inbox("SEEN@example.org") == ["a delivery is no login"]
        first = noted()
        assert first.keys() == {"imap"}
        assert host.pop3("seen@example.org") == 1
        assert host.lets_in("seen@example.org")
        assert noted().keys() == {"imap", "pop3"}
        assert noted()["imap"] >= first["imap"] > 1_700_000_000
