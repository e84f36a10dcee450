"""What is wrong is named, with its cause and the command that mends it; and whatever is right beside it is not."""

import pwd
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mailsvc.store import files
from tests.doctor.examined import Examined, changed, put_aside, removed
from tests.servers import free_port
from tests.servers.powerdns import powerdns
from tests.service.running import wait_until

POSTFIX = "postfix"
"""The group of readers here."""


def test_a_wrong_mode_of_shm(examined: Examined) -> None:
    shm = files.companions(examined.database)[1]
    with changed(shm, mode=0o640):
        failures = examined.failures()
    assert failures[0].check == "shm"
    assert failures[0].text == f"{shm} is 0640, must be 0660"
    assert failures[0].mend == f"chmod 0660 {shm}"


REOPEN = "systemctl stop pdns dovecot postfix mailsvc-milter mailsvc; systemctl start "
"""How the command begins after which nobody has the old files."""


@pytest.mark.parametrize("which", [0, 1])
def test_a_missing_companion(examined: Examined, which: int) -> None:
    path = files.companions(examined.database)[which]
    with put_aside(path):
        failure = examined.failure()
        assert not path.exists()
    assert failure.text == f"{path} is missing: the servers cannot open the database"
    assert failure.mend == f"{REOPEN}mailsvc mailsvc-milter postfix dovecot pdns"


def test_a_log_that_was_removed_is_taken_back_from_a_process_that_has_it(examined: Examined) -> None:
    log, shared_index = files.companions(examined.database)
    examined.filtered.host.add("saved@example.org")
    with removed(log):
        failure = examined.failure()
        rescue, _, rest = failure.mend.partition(f" && {REOPEN}")
        examined.filtered.host.site.run(rescue)
        assert "a process still has it, with the latest changes" in failure.text
        assert rest and b"saved@example.org" in log.read_bytes()
        assert log.stat().st_mode & 0o777 == files.DATABASE_MODE
    with removed(shared_index):
        assert "a process" not in examined.failure().text


def test_a_companion_made_anew_while_others_have_the_old_one(examined: Examined) -> None:
    shared_index = files.companions(examined.database)[1]
    with removed(shared_index):
        files.make_readable(examined.database)
        failures = examined.failures()
    assert f"{shared_index} was removed and made anew" in failures[0].text
    assert failures[0].mend.startswith(REOPEN)


def test_a_lost_group(examined: Examined) -> None:
    with changed(examined.database, group=0):
        failures = examined.failures()
    assert f"{examined.database} has group root, must have {POSTFIX}" in failures[0].text
    assert failures[0].mend == f"chgrp {POSTFIX} {examined.database}"
    assert "unable to open database file" in failures[1].text
    assert len(failures) == 2


def test_a_directory_that_readers_can_write(examined: Examined) -> None:
    with changed(examined.database.parent, mode=0o2770):
        failure = examined.failure()
    assert "that mailsvc cannot write" in failure.text
    assert failure.mend == f"chmod 2750 {examined.database.parent}"


def test_a_directory_of_somebody_else(examined: Examined) -> None:
    """What is in it stays whose it is: given away with the directory, mailsvc could not start."""
    directory = examined.database.parent
    with changed(directory, owner=pwd.getpwnam("nobody").pw_uid):
        failure = examined.failure()
    assert failure.text == f"{directory} belongs to nobody, what is in it to root: mailsvc cannot start"
    assert failure.mend == f"chown root {directory} && chmod 2750 {directory}"


def test_keys_that_others_can_read(examined: Examined) -> None:
    path = examined.database.with_name("secret.keys")
    with changed(path, mode=0o640):
        failure = examined.failure()
    assert (failure.check, failure.mend) == ("secret.keys", f"chmod 0600 {path}")


def test_no_database(examined: Examined) -> None:
    with put_aside(examined.database):
        failure = examined.failure()
        assert not examined.database.exists()
    assert failure.text == f"{examined.database} is not there: no server finds anybody"
    assert failure.mend == "systemctl restart mailsvc"


def test_an_older_schema(examined: Examined) -> None:
    with closing(sqlite3.connect(examined.database)) as connection:
        [[version]] = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
        connection.commit()
        try:
            failures = examined.failures()
        finally:
            connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
            connection.commit()
    assert failures[0].check == "schema"
    assert "is at schema version 0001" in failures[0].text


def test_a_map_that_was_edited(examined: Examined) -> None:
    path = examined.directory / "etc/mailsvc/mailhost/postfix/mailboxes.cf"
    with changed(path, text=path.read_text().replace("postfix_mailbox ", "no_such_view ")):
        failures = {one.check: one for one in examined.failures()}
    assert f"{path} differs" in failures["rendered configuration"].text
    mend = failures["rendered configuration"].mend
    assert mend.startswith("mailsvc mailhost render ") and mend.endswith(" && systemctl reload postfix dovecot")
    assert "no such table: no_such_view" in failures["sqlite:mailboxes.cf"].text
    assert failures["sqlite:mailboxes.cf"].mend.startswith("mailsvc mailhost render ")


def test_a_map_that_answers_something_else(examined: Examined) -> None:
    path = examined.directory / "etc/mailsvc/mailhost/postfix/domains.cf"
    with changed(path, text=path.read_text().replace("name = '%s'", "name = '%s' AND 0")):
        failures = {one.check: one for one in examined.failures()}
    assert "answers nothing for example.org" in failures["sqlite:domains.cf"].text


def test_a_main_cf_of_before(examined: Examined) -> None:
    path = examined.directory / "etc/postfix/main.cf"
    with changed(path, text=path.read_text().replace("recipient_delimiter = +", "")):
        failure = examined.failure()
    assert failure.check == "main.cf"
    assert failure.mend.startswith("cp --backup=numbered "), "lines of one's own are not lost"


def test_a_main_cf_that_takes_something_away(examined: Examined) -> None:
    path = examined.directory / "etc/postfix/main.cf"
    with changed(path, text=f"{path.read_text()}\nsmtpd_recipient_restrictions = reject_unlisted_recipient\n"):
        failure = examined.failure()
    assert "lacks check_policy_service unix:private/quota-status" in failure.text
    value = "reject_unlisted_recipient, check_policy_service unix:private/quota-status"
    assert failure.mend == f"echo 'smtpd_recipient_restrictions = {value}' >> {path} && postfix reload"


@pytest.mark.parametrize("line", ["smtpd_sender_restrictions =", "milter_default_action = accept"])
def test_a_main_cf_that_lets_more_pass(examined: Examined, line: str) -> None:
    path = examined.directory / "etc/postfix/main.cf"
    with changed(path, text=f"{path.read_text()}\n{line}\n"):
        failure = examined.failure()
    assert f"{line.split()[0]} is set anew after the rendered part and lacks " in failure.text


def test_a_domain_that_postfix_takes_for_the_machine_itself(examined: Examined) -> None:
    path = examined.directory / "etc/postfix/main.cf"
    with changed(path, text=f"{path.read_text()}\nmydestination = $myhostname, localhost, example.org\n"):
        failure = examined.failure()
    assert failure.text.startswith("example.org stands in mydestination: ")
    assert failure.mend == f"echo 'mydestination = mail.example.net, localhost' >> {path} && postfix reload"


def test_a_certificate_that_is_not_there(examined: Examined) -> None:
    path = examined.directory / "tls/fullchain.pem"
    with put_aside(path):
        failures = {one.check: one for one in examined.failures()}
    assert failures["certificate"].text.startswith(f"{path} is not there: ")
    assert failures["certificate"].mend.startswith("certbot certonly ")


def test_a_stopped_milter(examined: Examined) -> None:
    examined.filtered.milter.close()
    try:
        failure = examined.failure()
    finally:
        examined.filtered.start()
    assert (failure.check, failure.mend) == ("signer", "systemctl restart mailsvc-milter")
    assert "451" in failure.text


def test_a_milter_elsewhere(examined: Examined) -> None:
    failure = replace(examined, settings={"MAILSVC_MILTER_BIND": "127.0.0.1:9"}).failure()
    assert failure.check == "milter"
    assert "--milter=127.0.0.1:9" in failure.mend


def test_keys_that_do_not_open(examined: Examined) -> None:
    path = examined.database.with_name("secret.keys")
    with put_aside(path):
        failures = {one.check: one for one in examined.failures()}
    assert "no sealed key opens" in failures["secret.keys"].text
    assert "451" in failures["signer"].text


def test_a_published_record_of_another_key(examined: Examined) -> None:
    with closing(sqlite3.connect(examined.database)) as connection:
        where = "WHERE purpose = 'dkim' AND name LIKE 'mail.%' AND enabled = 1"
        [[content]] = connection.execute(f"SELECT content FROM dns_record {where}").fetchall()
        at = content.index("p=") + 40
        other = content[:at] + ("A" if content[at] != "A" else "B") + content[at + 1 :]
        connection.execute(f"UPDATE dns_record SET content = ? {where}", (other,))
        connection.commit()
        try:
            failure = examined.failure()
        finally:
            connection.execute(f"UPDATE dns_record SET content = ? {where}", (content,))
            connection.commit()
    assert failure.check == "signature"
    assert "is not that of the published key" in failure.text


@pytest.mark.parametrize("how", ["DUNNO", "gone"])
def test_quota_status_off(examined: Examined, how: str) -> None:
    path = examined.directory / "etc/dovecot/local.conf"
    more = {
        "DUNNO": "plugin {\n  quota_status_overquota = DUNNO\n}\n",
        "gone": "service quota-status {\n  executable = /bin/false\n}\n",
    }[how]
    failing = {"quota-status of Postfix", "quota-status of the filter"}
    with reloaded(examined, path, f"{path.read_text()}{more}", failing):
        failures = {one.check: one for one in examined.failures()}
    if how == "DUNNO":
        assert "action=DUNNO" in failures["quota-status of Postfix"].text


@contextmanager
def reloaded(examined: Examined, path: Path, text: str, failing: set[str]) -> Iterator[None]:
    """Within the block Dovecot goes by ``text`` in its file, for which the checks ``failing`` fail, and no others."""
    doveadm = f"doveadm -c {examined.directory}/etc/dovecot/dovecot.conf reload"
    try:
        with changed(path, text=text):
            examined.filtered.host.site.run(doveadm)
            # Processes of before may still answer once.
            wait_until(
                lambda: {one.check for one in examined.failures()} == failing, "Dovecot to go by its new configuration"
            )
            yield
    finally:
        examined.filtered.host.site.run(doveadm)
    # It holds a service back for a while whose processes died.
    wait_until(lambda: examined.failures() == [], "Dovecot to go by its old configuration")


def test_a_dovecot_that_lets_in_with_any_password(examined: Examined) -> None:
    local = examined.directory / "etc/dovecot/local.conf"
    any_password = "passdb {\n  driver = static\n  args = nopassword=y\n}\n"
    with reloaded(examined, local, f"{local.read_text()}\n{any_password}", {"Dovecot password"}):
        failures = {one.check: one for one in examined.failures()}
    assert "is let in with a password made up just now" in failures["Dovecot password"].text
    assert failures["Dovecot password"].mend == f"mv {local} {local}.away && systemctl restart dovecot"


def test_a_stopped_name_server(examined: Examined) -> None:
    failure = replace(examined, options={"dns": f"127.0.0.1:{free_port()}"}).failure()
    # The tests give it the group when they start it; a machine's own would not even start.
    assert failure.text.endswith(": pdns is not in group postfix")
    assert failure.mend == "usermod --append --groups postfix pdns && systemctl restart pdns"


def test_a_record_that_is_not_served(examined: Examined) -> None:
    copy = examined.directory / "copy.sqlite3"
    examined.filtered.host.command(f"backup {copy}")
    with powerdns(copy) as name_server:
        examined.filtered.host.site.run("mailsvc spf off example.org", "mailsvc spf on example.org")
        elsewhere = replace(examined, options={"dns": f"127.0.0.1:{name_server.port}"})
        failure = elsewhere.failure()
    assert failure.check == "SOA of example.org"
    assert "it reads another database" in failure.text
    assert failure.mend == "systemctl restart pdns"


def test_a_name_server_without_the_domain(examined: Examined) -> None:
    with powerdns(empty(examined, examined.filtered.host.command)) as name_server:
        failure = replace(examined, options={"dns": f"127.0.0.1:{name_server.port}"}).failure()
    assert "REFUSED for SOA of example.org" in failure.text


def empty(examined: Examined, command: Callable[[str], str]) -> Path:
    """A database without domains."""
    path = examined.directory / "empty.sqlite3"
    command(f"backup {path}")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM domain")
        connection.commit()
    return path
