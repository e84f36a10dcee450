"""Removed mailboxes: kept for a grace time, brought back as they were, purged afterwards, and nobody else's ever."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from mailsvc.core.acts import USER, Act
from mailsvc.core.addresses import mail_address
from mailsvc.core.refusals import AlreadyExists, LimitReached, NothingToRestore, Refusal, UnknownDomain
from mailsvc.mailhost import removal
from mailsvc.mailhost.homes import home, maildir
from mailsvc.services import domains, forwards, mailboxes, removed_mailboxes, users
from mailsvc.services.ports import Ports
from mailsvc.services.removed_mailboxes import Purged
from tests.application import act
from tests.services.callers import act_of, add_mailbox, counts, everything, found, last_audit_entry, remove_mailbox

DAY_MS = 24 * 3600 * 1000

OLD = "old@example.com"


@pytest.fixture
def more_settings(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "mail").mkdir()
    return {"MAIL_ROOT": str(tmp_path / "mail")}


def row(ports: Ports, address: str = OLD) -> tuple[object, ...]:
    """The whole of a live mailbox but for its number."""
    columns = "domain_id, address, password_hash, quota_mib, enabled, incarnation, created_at"
    [only] = found(ports, f"SELECT {columns} FROM mailbox WHERE address = :address", address=address)
    return only


def incarnation(ports: Ports, address: str = OLD) -> str:
    return str(row(ports, address)[5])


def restore(ports: Ports, address: str = OLD, by: Act | None = None) -> None:
    removed_mailboxes.restore(ports, by or act(), address=mail_address(address))


def refusal_of(attempt: Callable[[], None]) -> type[Refusal] | None:
    try:
        attempt()
    except Refusal as refusal:
        return type(refusal)
    return None


def deliver(ports: Ports, address: str = OLD, text: str = "Subject: here\n") -> Path:
    """Put a message where Dovecot would, and give the home."""
    root, name = ports.settings.mail_root, incarnation(ports, address)
    (maildir(root, name) / "new").mkdir(parents=True)
    (maildir(root, name) / "new" / "1.mail").write_text(text)
    return home(root, name)


def let_time_pass(ports: Ports, days: float) -> None:
    with ports.store.writing() as unit:
        unit.execute(sa.text(f"UPDATE removed_mailbox SET removed_at = removed_at - {int(days * DAY_MS)}"))


def purge(ports: Ports) -> list[Purged]:
    return list(removed_mailboxes.purge(ports, act("mailhost purge")))


def test_a_mailbox_comes_back_as_it_was(ports: Ports) -> None:
    add_mailbox(ports, "info@example.com", quota_mib=7)
    mailboxes.disable(ports, act(), address=mail_address("info@example.com"))
    forwards.add(ports, act(), source=mail_address(OLD), targets=[mail_address("a@b.example")])
    for address in (OLD, "info@example.com"):
        before = row(ports, address)
        remove_mailbox(ports, address, act_of(ports, "alice"))
        assert found(ports, "SELECT 1 FROM dovecot_user WHERE address = :address", address=address) == []
        restore(ports, address, act_of(ports, "alice"))
        assert row(ports, address) == before
        assert last_audit_entry(ports)[2:] == ("alice", "alice", address, "done", 0)
        assert refusal_of(lambda: restore(ports, "nobody@example.com")) is NothingToRestore
    assert counts(ports)["alice"] == 2
    assert found(ports, "SELECT * FROM removed_mailbox") == []
    assert found(ports, "SELECT source FROM forward") == [(OLD,)]


def test_a_mailbox_made_again_is_another_one_and_the_newest_of_the_removed_comes_back(ports: Ports) -> None:
    seen = [incarnation(ports)]
    for _ in range(2):
        remove_mailbox(ports, OLD)
        let_time_pass(ports, 1)
        add_mailbox(ports, OLD)
        seen.append(incarnation(ports))
    assert len(set(seen)) == 3
    before = everything(ports)
    assert refusal_of(lambda: restore(ports)) is AlreadyExists
    assert everything(ports) == before
    for expected in reversed(seen):
        if expected != seen[-1]:
            restore(ports)
        assert incarnation(ports) == expected
        with ports.store.writing() as unit:
            unit.execute(sa.text("DELETE FROM mailbox"))
            unit.execute(sa.text("UPDATE panel_user SET mailbox_count = 0"))
    assert refusal_of(lambda: restore(ports)) is NothingToRestore


def test_what_is_not_in_scope_or_does_not_fit_is_not_brought_back(ports: Ports) -> None:
    remove_mailbox(ports, OLD)
    users.add(ports, act(), name="carol", password="Panel-3", role=USER, mailbox_limit=0)
    before = everything(ports)
    assert refusal_of(lambda: restore(ports, OLD, act_of(ports, "bob"))) is UnknownDomain
    assert refusal_of(lambda: restore(ports, "old@nowhere.test")) is UnknownDomain
    assert everything(ports) == before
    domains.give(ports, act(), name="example.com", owner="carol")
    before = everything(ports)
    assert refusal_of(lambda: restore(ports, OLD, act_of(ports, "alice"))) is UnknownDomain
    assert refusal_of(lambda: restore(ports, OLD, act_of(ports, "carol"))) is LimitReached
    assert everything(ports) == before
    domains.give(ports, act(), name="example.com", owner="bob")
    restore(ports, OLD, act_of(ports, "bob"))
    assert counts(ports)["bob"] == 1


def test_mail_of_a_removed_domain_never_falls_to_another_owner(ports: Ports) -> None:
    add_mailbox(ports, "info@example.com")
    remove_mailbox(ports, "info@example.com")
    homes = {OLD: incarnation(ports), "info@example.com": found(ports, "SELECT incarnation FROM removed_mailbox")[0][0]}
    domains.remove(ports, act(), name="example.com")
    assert refusal_of(lambda: restore(ports)) is UnknownDomain
    domains.add(ports, act(), name="example.com", owner="bob")
    for address in homes:
        assert refusal_of(lambda which=address: restore(ports, which)) is NothingToRestore  # type: ignore[misc]
    domains.give(ports, act(), name="example.com", owner="alice")
    for address, kept in homes.items():
        restore(ports, address)
        assert incarnation(ports, address) == kept
    assert counts(ports) == {"root": 0, "alice": 2, "bob": 0}


def test_lists_say_what_can_be_restored_and_until_when(ports: Ports) -> None:
    add_mailbox(ports, "b@bob.test", quota_mib=3)
    for address in (OLD, "b@bob.test"):
        remove_mailbox(ports, address)
    everybodys = removed_mailboxes.listed(ports, act_of(ports, "root").acting)
    assert [(one.address, one.quota_mib) for one in everybodys] == [("b@bob.test", 3), (OLD, 0)]
    assert all(one.kept_until - one.removed_at == timedelta(days=7) for one in everybodys)
    bob = act_of(ports, "bob").acting
    assert removed_mailboxes.listed(ports, bob) == removed_mailboxes.listed(ports, bob, domain="bob.test")
    assert [one.address for one in removed_mailboxes.listed(ports, bob)] == ["b@bob.test"]
    with pytest.raises(UnknownDomain):
        removed_mailboxes.listed(ports, bob, domain="example.com")


def test_mail_is_purged_when_its_time_is_over_and_not_before(ports: Ports) -> None:
    add_mailbox(ports, "info@example.com")
    kept, gone, name = deliver(ports, "info@example.com"), deliver(ports), incarnation(ports)
    remove_mailbox(ports, OLD)
    assert purge(ports) == [] and gone.exists()
    let_time_pass(ports, 6.9)
    assert purge(ports) == [] and gone.exists()
    let_time_pass(ports, 0.2)
    assert purge(ports) == [Purged(OLD, name, None)]
    assert not gone.exists() and (kept / "Maildir" / "new" / "1.mail").exists()
    assert last_audit_entry(ports)[1:] == ("mailhost purge", "test", "mailsvc", OLD, "done", 0)
    assert found(ports, "SELECT * FROM removed_mailbox") == []
    assert "{ARGON2ID}" not in repr(everything(ports)["removed_mailbox"])
    assert refusal_of(lambda: restore(ports)) is NothingToRestore
    assert purge(ports) == []


def test_a_predecessors_mail_goes_and_its_successors_stays(ports: Ports) -> None:
    gone = deliver(ports)
    remove_mailbox(ports, OLD)
    add_mailbox(ports, OLD)
    kept = deliver(ports, text="Subject: mine\n")
    let_time_pass(ports, 8)
    assert [one.address for one in purge(ports)] == [OLD]
    assert not gone.exists() and kept.exists()


def test_the_mail_of_a_removed_domain_is_purged_too(ports: Ports) -> None:
    gone = deliver(ports)
    domains.remove(ports, act(), name="example.com")
    assert gone.exists() and purge(ports) == []
    let_time_pass(ports, 8)
    users.remove(ports, act(), name="alice")
    assert [one.address for one in purge(ports)] == [OLD]
    assert not gone.exists()


def test_a_home_of_a_live_mailbox_is_never_purged(ports: Ports) -> None:
    home_of_old = deliver(ports)
    with ports.store.writing() as unit:
        columns = "domain_id, address, password_hash, quota_mib, enabled, incarnation, created_at"
        unit.execute(
            sa.text(
                f"INSERT INTO removed_mailbox ({columns}, owner_id, removed_at, purging)"
                f" SELECT {columns}, NULL, 1, 1 FROM mailbox"
            )
        )
    assert purge(ports) == [] and home_of_old.exists()


def test_a_purge_that_was_cut_short_is_finished_and_nobody_restores_meanwhile(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = deliver(ports)
    remove_mailbox(ports, OLD)
    let_time_pass(ports, 8)

    def die(root: Path, name: str) -> None:
        (gone / "Maildir" / "new" / "1.mail").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(removal, "remove", die)
        with pytest.raises(KeyboardInterrupt):
            purge(ports)
    assert refusal_of(lambda: restore(ports)) is NothingToRestore
    assert removed_mailboxes.listed(ports, act_of(ports, "root").acting) == []
    let_time_pass(ports, -30)
    assert [one.failure for one in purge(ports)] == [None]
    assert not gone.exists() and found(ports, "SELECT * FROM removed_mailbox") == []


def test_what_cannot_be_removed_is_named_and_tried_again(ports: Ports, tmp_path: Path) -> None:
    gone = deliver(ports)
    remove_mailbox(ports, OLD)
    let_time_pass(ports, 8)
    gone.rename(tmp_path / "elsewhere")
    gone.symlink_to(tmp_path / "elsewhere")
    [failed] = purge(ports)
    assert failed.failure is not None
    assert (tmp_path / "elsewhere" / "Maildir" / "new" / "1.mail").exists()
    gone.unlink()
    assert [one.failure for one in purge(ports)] == [None]


def test_nothing_is_forgotten_while_the_mail_root_is_not_there(ports: Ports) -> None:
    gone = deliver(ports)
    remove_mailbox(ports, OLD)
    let_time_pass(ports, 8)
    root = ports.settings.mail_root
    away = root.rename(root.with_name("not-mounted"))
    with pytest.raises(FileNotFoundError):
        purge(ports)
    away.rename(root)
    assert [one.failure for one in purge(ports)] == [None] and not gone.exists()


def test_homes_that_nobody_knows_stay_until_asked_for_and_unchanged_for_long(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = deliver(ports)
    add_mailbox(ports, "info@example.com")
    removed = deliver(ports, "info@example.com")
    remove_mailbox(ports, "info@example.com")
    root, stray = ports.settings.mail_root, "5a" * 16
    (maildir(root, stray) / "new").mkdir(parents=True)
    assert removed_mailboxes.orphans(ports) == [stray]
    assert purge(ports) == []
    assert removed_mailboxes.purge_orphans(ports, act()) == [], "it may be somebody's who works on it"
    long_ago = root.stat().st_ctime - 8 * 24 * 3600
    monkeypatch.setattr(removal, "last_change", lambda root, name: long_ago)
    assert removed_mailboxes.purge_orphans(ports, act()) == [Purged(None, stray, None)]
    assert removed_mailboxes.orphans(ports) == []
    assert live.exists() and removed.exists() and not home(root, stray).exists()
