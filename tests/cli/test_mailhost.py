"""``mailhost render``: what it prints, where it refuses, and that it needs no database."""

from pathlib import Path

import pytest

from tests.cli.command_line import CommandLine


def test_it_writes_the_files_and_names_them(nowhere: CommandLine, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    lines = nowhere("mailhost", "render", str(tree)).text.splitlines()
    assert f"{tree}/postfix/main.cf" in lines
    assert sorted(lines) == sorted(str(path) for path in tree.rglob("*") if path.is_file())
    assert not Path(nowhere.environ["MAILSVC_DATA_DIR"]).exists()


def test_its_settings_are_the_services(nowhere: CommandLine, tmp_path: Path) -> None:
    named = nowhere.with_settings(
        HOSTNAME="mx.example.net", MAIL_ROOT="/mail", MILTER_BIND="127.0.0.1:99", QUOTA_STATUS="off"
    )
    assert named("mailhost", "render", str(tmp_path / "tree")).status == 0
    assert "myhostname = mx.example.net\n" in (tmp_path / "tree/postfix/main.cf").read_text()
    assert "smtpd_milters = inet:127.0.0.1:99\n" in (tmp_path / "tree/postfix/main.cf").read_text()
    assert "'/mail/' ||" in (tmp_path / "tree/dovecot-2.3/sql.conf.ext").read_text()
    assert "12340" not in (tmp_path / "tree/dovecot-2.3/dovecot.conf").read_text()
    database = f"{nowhere.environ['MAILSVC_DATA_DIR']}/mailsvc.sqlite3"
    assert f"dbpath = {database}\n" in (tmp_path / "tree/postfix/domains.cf").read_text()
    assert f"gsqlite3-database={database}\n" in (tmp_path / "tree/powerdns/mailsvc.conf").read_text()


def test_check_names_what_differs_and_writes_nothing(nowhere: CommandLine, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    missing = nowhere("mailhost", "render", str(tree), "--check")
    assert (missing.status, missing.err) == (1, "")
    assert f"{tree}/postfix/main.cf is missing\n" in missing.out
    assert not tree.exists()

    assert nowhere("mailhost", "render", str(tree)).status == 0
    assert nowhere("mailhost", "render", str(tree), "--check").text == ""
    (tree / "postfix/senders.cf").write_text("")
    differing = nowhere("mailhost", "render", str(tree), "--check")
    assert (differing.status, differing.out) == (1, f"{tree}/postfix/senders.cf differs\n")
    assert (tree / "postfix/senders.cf").read_text() == ""


def test_an_option_holds_until_it_is_given_anew(nowhere: CommandLine, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    main = tree / "postfix/main.cf"
    assert nowhere("mailhost", "render", str(tree), "--certificate=/tls/one.pem", "--milter=").status == 0
    assert nowhere("mailhost", "render", str(tree), "--check").status == 0
    assert nowhere("mailhost", "render", str(tree), "--certificate=/tls/two.pem").status == 0
    assert "smtpd_tls_cert_file = /tls/two.pem\n" in main.read_text()
    assert "smtpd_milters =\n" in main.read_text()


def test_a_relative_directory_is_written_as_an_absolute_one(
    nowhere: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert nowhere("mailhost", "render", "tree").status == 0
    assert f"proxy:sqlite:{tmp_path}/tree/postfix/domains.cf" in (tmp_path / "tree/postfix/main.cf").read_text()


@pytest.mark.parametrize("option", ["--queue=/var/my queue", "--mail-user=o'brien", "--imap-port="])
def test_an_impossible_value_is_one_clear_line(nowhere: CommandLine, tmp_path: Path, option: str) -> None:
    name = option.partition("=")[0].removeprefix("--")
    assert nowhere("mailhost", "render", str(tmp_path / "tree"), option).refusal.startswith(f"{name}: ")
    assert not (tmp_path / "tree").exists()


def test_postgresql_is_refused(nowhere: CommandLine, tmp_path: Path) -> None:
    elsewhere = nowhere.with_settings(DATABASE_URL="postgresql+psycopg://mailsvc:Canary-9@127.0.0.1/mailsvc")
    line = elsewhere("mailhost", "render", str(tmp_path / "tree")).refusal
    assert "SQLite" in line and "Canary-9" not in line


def test_a_wrong_setting_or_place_is_one_clear_line(nowhere: CommandLine, tmp_path: Path) -> None:
    wrong = nowhere.with_settings(NONSENSE="1")
    assert wrong("mailhost", "render", str(tmp_path)).refusal == "MAILSVC_NONSENSE: there is no such setting"
    (tmp_path / "file").write_text("")
    assert "is a file" in nowhere("mailhost", "render", str(tmp_path / "file")).misuse
    assert "Not a directory" in nowhere("mailhost", "render", str(tmp_path / "file/below")).refusal
