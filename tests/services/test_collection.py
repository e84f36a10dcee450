"""Visits of external accounts, from a real Dovecot into a real Dovecot: every message once, and nothing left behind."""

import shutil
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from mailsvc.core.mail_accounts import CRAM_MD5, IMAP, POP3, STARTTLS, TLS
from mailsvc.services import accounts, collection
from tests.services.callers import found, remove_mailbox
from tests.services.collecting import LOCAL, Stage, keys, message, milliseconds, new_user, subjects

both = pytest.mark.parametrize("protocol", [IMAP, POP3])
on_sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


def put(staged: Stage, user: str, *names: str, **more: str) -> None:
    for name in names:
        staged.foreign.put(user, message(name, **more), name)


@both
def test_messages_arrive_once_each_with_their_mark(staged: Stage, protocol: str) -> None:
    user = new_user()
    put(staged, user, "1", "2", "3")
    account = staged.save(user, protocol)
    row = staged.visit(account)
    assert (row["last_error"], row["collected"], row["lease_holder"]) == (None, 3, None)
    arrived = staged.collected()
    assert subjects(arrived) == ["1", "2", "3"]
    installation = found(staged.ports, "SELECT uuid FROM installation")[0][0]
    for text in arrived:
        assert f"\nX-Mailsvc-Collected: {installation}; account={account}; key=".encode() in b"\n" + text
    assert len(set(keys(arrived))) == 3
    if protocol == IMAP:
        assert staged.foreign.unseen(user) == 3
    assert len(staged.foreign.messages(user)) == 3

    assert staged.visit(account)["collected"] == 3
    assert len(staged.collected()) == 3
    put(staged, user, "4")
    staged.visit(account)
    assert subjects(staged.collected()) == ["1", "2", "3", "4"]


@both
@on_sqlite
def test_bytes_arrive_unchanged(staged: Stage, protocol: str) -> None:
    user = new_user()
    lines = [".", "..dots", ". .", "", "x" * 5000, "\u043f\u043e\u0447\u0442\u0430", "From here", "."]
    text = message("odd", body="\r\n".join(lines))
    staged.foreign.put(user, text, "odd")
    staged.visit(staged.save(user, protocol))
    [arrived] = staged.collected()
    assert arrived.endswith(text.replace(b"\r\n", b"\n"))


@on_sqlite
@pytest.mark.parametrize(("protocol", "encryption"), [(IMAP, TLS), (IMAP, STARTTLS), (POP3, TLS), (POP3, STARTTLS)])
@pytest.mark.parametrize("more_settings", [{"ALLOW_INVALID_CERTS": "1"}])
def test_collecting_under_tls_by_cram_md5(staged: Stage, protocol: str, encryption: int) -> None:
    user = new_user()
    put(staged, user, "1")
    ports = {
        (IMAP, TLS): staged.foreign.imaps,
        (IMAP, STARTTLS): staged.foreign.imap,
        (POP3, TLS): staged.foreign.pop3s,
        (POP3, STARTTLS): staged.foreign.pop3,
    }
    account = staged.save(user, protocol, port=ports[protocol, encryption], encryption=encryption, auth=CRAM_MD5)
    assert staged.visit(account)["last_error"] is None
    assert subjects(staged.collected()) == ["1"]


@both
def test_only_recent_mail_until_all_is_wanted(staged: Stage, protocol: str) -> None:
    user = new_user()
    moment = datetime.now(UTC)
    put(staged, user, "old", date=format_datetime(moment - timedelta(days=40)))
    put(staged, user, "new", date=format_datetime(moment - timedelta(days=20)))
    put(staged, user, "undated", date="whenever")
    account = staged.save(user, protocol, restrict=True)
    assert staged.visit(account)["collected"] == 2
    assert subjects(staged.collected()) == ["new", "undated"]
    assert staged.visit(account)["collected"] == 2
    assert staged.save(user, protocol, restrict=False) == account
    assert staged.visit(account)["collected"] == 3
    assert subjects(staged.collected()) == ["new", "old", "undated"]
    put(staged, user, "older", date=format_datetime(moment - timedelta(days=400)))
    assert staged.visit(account)["collected"] == 4
    assert staged.visit(account)["collected"] == 4


def test_a_new_uidvalidity_brings_nothing_twice(staged: Stage) -> None:
    user = new_user()
    put(staged, user, "1", "2")
    account = staged.save(user)
    staged.visit(account)
    _renumber(staged, user)
    put(staged, user, "3")
    assert staged.visit(account)["collected"] == 3
    assert subjects(staged.collected()) == ["1", "2", "3"]
    sources = found(staged.ports, f"SELECT count(*) FROM collected_source WHERE account_id = {account}")
    assert sources == [(2,)]


def _renumber(staged: Stage, user: str) -> None:
    """Let Dovecot forget its numbers of this mailbox."""
    maildir = staged.foreign.maildir(user)
    before = (maildir / "dovecot-uidlist").read_text().split()[1]
    for path in maildir.glob("dovecot*"):
        path.unlink()
    (maildir / "dovecot-uidlist").write_text(f"3 V{int(before[1:]) + 77} N1 G{'ab' * 16}\n")
    staged.foreign.own(maildir / "dovecot-uidlist")


@both
def test_another_name_of_the_server_brings_nothing_twice(staged: Stage, protocol: str) -> None:
    user = new_user()
    put(staged, user, "1", "2")
    account = staged.save(user, protocol)
    staged.visit(account)
    assert staged.save(user, protocol, host="localhost") == account
    put(staged, user, "3")
    assert staged.visit(account)["collected"] == 3
    assert subjects(staged.collected()) == ["1", "2", "3"]


@both
def test_two_messages_of_the_same_bytes_are_two_messages(staged: Stage, protocol: str) -> None:
    user = new_user()
    for name in ("a", "b"):
        staged.foreign.put(user, message("same"), name)
    account = staged.save(user, protocol)
    assert staged.visit(account)["collected"] == 2
    assert len(set(keys(staged.collected()))) == 2


@on_sqlite
def test_a_message_that_was_moved_away_and_back_is_known(staged: Stage) -> None:
    user = new_user()
    put(staged, user, "1")
    account = staged.save(user)
    staged.visit(account)
    staged.foreign.run("mailbox", "create", "-u", user, "Aside")
    staged.foreign.run("move", "-u", user, "Aside", "mailbox", "INBOX", "all")
    staged.foreign.run("move", "-u", user, "INBOX", "mailbox", "Aside", "all")
    assert staged.visit(account)["collected"] == 1
    assert len(staged.collected()) == 1


@both
def test_at_most_a_hundred_messages_a_visit_and_the_next_is_due_at_once(staged: Stage, protocol: str) -> None:
    user = new_user()
    put(staged, user, *(f"{number:03}" for number in range(105)))
    account = staged.save(user, protocol)
    row = staged.visit(account)
    assert row["collected"] == collection.MOST == 100
    assert row["next_visit_at"] <= milliseconds(staged.clock())
    row = staged.visit(account)
    assert row["collected"] == 105
    assert row["next_visit_at"] == milliseconds(staged.clock() + timedelta(seconds=90))
    assert subjects(staged.collected()) == [f"{number:03}" for number in range(105)]


def test_without_a_local_mailbox_nothing_is_collected(staged: Stage) -> None:
    user = new_user()
    put(staged, user, "1")
    account = staged.save(user, deliver_to="")
    assert staged.visit(account)["last_error"] == collection.NO_MAILBOX
    assert staged.save(user, deliver_to=LOCAL) == account
    assert staged.visit(account)["collected"] == 1
    remove_mailbox(staged.ports, LOCAL)
    put(staged, user, "2")
    assert staged.visit(account)["last_error"] == collection.NO_MAILBOX
    assert subjects(staged.collected()) == ["1"]


def test_a_mailbox_of_another_domain_owner_is_not_filled(staged: Stage) -> None:
    user = new_user()
    put(staged, user, "1")
    account = staged.save(user)
    with staged.ports.store.writing() as unit:
        unit.exec_driver_sql("UPDATE domain SET owner_id = (SELECT id FROM panel_user WHERE name = 'bob')")
    assert staged.visit(account)["last_error"] == collection.NO_MAILBOX


@on_sqlite
def test_the_mailbox_of_the_account_s_own_address_comes_first(staged: Stage) -> None:
    put(staged, "old@example.com", "1")
    staged.visit(staged.save("old@example.com"))
    assert staged.collected() == []
    assert subjects(staged.local.messages("old@example.com")) == ["1"]


@on_sqlite
def test_never_onto_itself(staged: Stage) -> None:
    account = staged.save(new_user(), login=LOCAL.upper(), host="localhost", port=143)
    row = staged.visit(account)
    assert (row["last_error"], row["collected"]) == (collection.ITSELF, 0)
    # Somebody else's mailbox on the same machine is another matter.
    account = staged.save(new_user(), login="someone@example.com", host="localhost", port=143)
    assert staged.visit(account)["last_error"] != collection.ITSELF


@both
def test_a_message_with_this_account_s_mark_is_not_delivered_again(staged: Stage, protocol: str) -> None:
    user = new_user()
    put(staged, user, "1")
    account = staged.save(user, protocol)
    staged.visit(account)
    [arrived] = staged.collected()
    # As it comes back through a forward at the foreign side, with lines before the mark.
    staged.foreign.put(user, b"Received: from nowhere\r\n" + arrived, "back")
    other = arrived.replace(f"account={account};".encode(), f"account={account}0;".encode())
    staged.foreign.put(user, other.replace(b"Subject: 1", b"Subject: other"), "other")
    assert staged.visit(account)["collected"] == 2
    assert subjects(staged.collected()) == ["1", "other"]
    outcomes = found(staged.ports, "SELECT outcome FROM collected_message ORDER BY outcome")
    assert outcomes == [("delivered",), ("delivered",), ("own",)]


@both
def test_too_large_messages_are_skipped_and_recorded(
    staged: Stage, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailsvc.services.mail_sources.MOST_BYTES", 400_000)
    user = new_user()
    staged.foreign.put(user, message("large", body="x\r\n" * 200_000), "large")
    staged.foreign.put(user, message("middling", body="x\r\n" * 120_000), "middling")
    put(staged, user, "small")
    account = staged.save(user, protocol)
    row = staged.visit(account)
    assert (row["collected"], row["last_error"]) == (2, None)
    assert subjects(staged.collected()) == ["middling", "small"]
    assert found(staged.ports, "SELECT count(*) FROM collected_message WHERE outcome = 'too_large'") == [(1,)]
    assert staged.visit(account)["collected"] == 2


@both
def test_failing_logins_are_told_after_an_hour_and_end_after_three_days(staged: Stage, protocol: str) -> None:
    account = staged.save(new_user(), protocol, password="wrong")
    row = staged.visit(account)
    assert "Authentication failed." in row["last_error"]
    first = row["failing_since"]
    assert (row["auth_error"], first) == (0, milliseconds(staged.clock()))
    staged.clock.move(minutes=59)
    assert staged.visit(account)["auth_error"] == 0
    staged.clock.move(minutes=2)
    row = staged.visit(account)
    assert (row["auth_error"], row["enabled"], row["failing_since"]) == (1, 1, first)
    staged.clock.move(days=3)
    row = staged.visit(account)
    assert (row["auth_error"], row["enabled"]) == (1, 0)


def test_any_success_ends_a_series_of_failures(staged: Stage) -> None:
    user = new_user()
    account = staged.save(user, password="wrong")
    staged.visit(account)
    staged.clock.move(hours=2)
    assert staged.visit(account)["auth_error"] == 1
    sealed = found(staged.ports, f"SELECT id FROM external_account WHERE id = {staged.save(user)}")
    assert sealed == [(account,)]
    assert staged.row(account)["auth_error"] == 0
    assert staged.visit(account)["failing_since"] is None


@on_sqlite
def test_a_server_that_does_not_answer_is_no_failed_login(staged: Stage) -> None:
    account = staged.save(new_user(), port=1)
    row = staged.visit(account)
    assert (row["last_error"], row["failing_since"]) == ("Connection refused", None)
    staged.clock.move(days=4)
    assert staged.visit(account)["enabled"] == 1


def test_what_its_owner_changes_counts_before_the_next_message(staged: Stage) -> None:
    user = new_user()
    put(staged, user, "1", "2", "3")
    account = staged.save(user)
    handed_in = []

    def handover() -> object:
        handover = type(staged).handover(staged)
        deliver = handover.deliver

        def and_then(*arguments: object) -> None:
            deliver(*arguments)  # type: ignore[arg-type]
            handed_in.append(1)
            accounts.disable(staged.ports, staged.alice, email=user)

        handover.deliver = and_then  # type: ignore[assignment, method-assign]
        return handover

    staged.handover = handover  # type: ignore[assignment, method-assign]
    row = staged.visit(account)
    assert (row["enabled"], row["collected"], row["lease_holder"], handed_in) == (0, 1, None, [1])
    with pytest.raises(AssertionError):
        staged.visit(account)


def test_deleting_it_ends_a_visit_and_forgets_everything(staged: Stage) -> None:
    user = new_user()
    put(staged, user, "1", "2")
    account = staged.save(user)
    stops = iter([False, True])

    def stopping() -> bool:
        if next(stops):
            accounts.remove(staged.ports, staged.alice, email=user)
        return False

    staged.stopping = stopping
    assert staged.visit(account) == {}
    assert subjects(staged.collected()) == ["1"]
    for table in ("external_account", "collected_source", "collected_message"):
        assert found(staged.ports, f"SELECT count(*) FROM {table}") == [(0,)]
    assert staged.save(user) == account + 1


@on_sqlite
def test_a_worker_that_is_told_to_stop_ends_with_the_message_at_hand(staged: Stage) -> None:
    user = new_user()
    put(staged, user, "1", "2", "3")
    account = staged.save(user)
    staged.stopping = lambda: len(staged.collected()) >= 2
    row = staged.visit(account)
    assert (row["collected"], row["lease_holder"]) == (2, None)
    assert row["next_visit_at"] <= milliseconds(staged.clock())


@on_sqlite
def test_a_folder_whose_index_was_lost_is_still_collected(staged: Stage) -> None:
    user = new_user()
    put(staged, user, "1")
    account = staged.save(user)
    staged.visit(account)
    for path in staged.foreign.maildir(user).glob("dovecot.index*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    put(staged, user, "2")
    assert staged.visit(account)["collected"] == 2
