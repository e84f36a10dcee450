"""What all commands have in common: exit statuses, one line when refused, no secret on the command line."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import pytest

import config
from mailsvc.cli import commands
from mailsvc.store import engine
from tests.cli.command_line import CommandLine
from tests.store.locking import locked

EXAMPLES: dict[str, tuple[str, ...]] = {
    "user add": ("carol", "--password-stdin"),
    "user list": (),
    "user passwd": ("alice", "--password-stdin"),
    "user disable": ("alice",),
    "user enable": ("alice",),
    "user remove": ("alice",),
    "domain add": ("new.test", "--owner", "alice"),
    "domain list": (),
    "domain show": ("example.com",),
    "domain check": ("example.com",),
    "domain catch-all": ("example.com", "old@example.com"),
    "domain give": ("example.com", "--owner", "bob"),
    "domain remove": ("example.com",),
    "mailbox add": ("new@example.com", "--quota", "0", "--password-stdin"),
    "mailbox list": (),
    "mailbox passwd": ("old@example.com", "--password-stdin"),
    "mailbox quota": ("old@example.com", "1"),
    "mailbox disable": ("old@example.com",),
    "mailbox enable": ("old@example.com",),
    "mailbox restore": ("old@example.com",),
    "mailbox remove": ("old@example.com",),
    "forward add": ("a@example.com", "b@example.net"),
    "forward list": (),
    "forward remove": ("a@example.com",),
    "spf on": ("example.com",),
    "spf off": ("example.com",),
    "dkim on": ("example.com",),
    "dkim off": ("example.com",),
    "dkim rotate": ("example.com",),
    "dkim add": ("example.com", "--algorithm", "ed25519"),
    "dkim remove": ("example.com", "--algorithm", "ed25519"),
    "token add": ("alice",),
    "token list": ("alice",),
    "token revoke": ("1",),
    "account list": (),
    "account show": ("me@elsewhere.example",),
    "secrets rotate": (),
    "reconcile": (),
    "mailhost purge": (),
    "backup": ("/absent/copy",),
    "restore": ("/absent/copy",),
}
"""One call of every command that works on an existing database."""

WITHOUT_EXAMPLE = {"serve", "milter", "collect", "mailhost render", "doctor"}
"""Commands without an example here: three go on for ever, two need no database."""

GROUPS = {"user", "domain", "mailbox", "forward", "spf", "dkim", "token", "account", "secrets", "mailhost", ""}

NEEDED = {
    "user add": 1,
    "domain add": 1,
    "domain catch-all": 1,
    "domain give": 1,
    "mailbox add": 1,
    "forward add": 2,
    "mailbox quota": 2,
    "dkim rotate": 0,
    "dkim add": 1,
    "dkim remove": 1,
}
"""How many arguments a command cannot do without, where it is not all of the example's."""

SQLITE = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
EVERY = pytest.mark.parametrize("name", EXAMPLES)


def leaves(group: click.Group = commands, names: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by its whole name."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, (*names, name))
        else:
            yield " ".join((*names, name)), command


def test_there_is_an_example_of_every_command() -> None:
    assert {name for name, _ in leaves()} == {*EXAMPLES, *WITHOUT_EXAMPLE}


@pytest.mark.parametrize("name", [*EXAMPLES, *sorted(WITHOUT_EXAMPLE | GROUPS)])
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_needs_no_database(nowhere: CommandLine, name: str, option: str) -> None:
    text = nowhere(*name.split(), option).text
    assert text.startswith(f"Usage: python -m mailsvc {name}".rstrip())
    assert not Path(nowhere.environ["MAILSVC_DATA_DIR"]).exists()


def test_every_command_says_what_it_does() -> None:
    for name, command in leaves():
        assert command.get_short_help_str(), name


def test_the_version_can_be_asked_for(nowhere: CommandLine) -> None:
    assert "0.1.0" in nowhere("--version").text


@pytest.mark.parametrize(
    "arguments",
    [
        ("invented",),
        ("user",),
        ("user", "invented"),
        ("user", "add"),
        ("user", "add", "carol", "--role", "god", "--password-stdin"),
        ("user", "add", "carol", "--language", "de", "--password-stdin"),
        ("user", "add", "carol", "--mailbox-limit", "-1", "--password-stdin"),
        ("user", "add", "carol", "--mailbox-limit", "many", "--password-stdin"),
        ("user", "list", "--xml"),
        ("domain", "add", "new.test"),
        ("mailbox", "add", "a@example.com", "--password-stdin"),
        ("forward", "add", "a@example.com"),
        ("spf", "on"),
        ("spf", "on", "example.com", "example.net"),
        ("spf", "maybe", "example.com"),
        ("domain", "catch-all", "example.com", "a@example.com", "--off"),
        ("dkim", "rotate"),
        ("dkim", "rotate", "--wait"),
        ("dkim", "rotate", "--continue", "--wait"),
        ("dkim", "add", "example.com"),
        ("dkim", "add", "example.com", "--algorithm", "dsa"),
        ("reconcile", "example.com"),
        ("backup",),
        ("backup", "/"),
        ("serve", "now"),
        ("mailhost",),
        ("mailhost", "render"),
        ("mailhost", "render", "/absent", "/absent"),
    ],
)
def test_a_wrong_command_line_is_two(nowhere: CommandLine, arguments: tuple[str, ...]) -> None:
    assert nowhere(*arguments).status == 2
    assert "Usage: python -m mailsvc" in nowhere(*arguments).err


@EVERY
def test_a_missing_argument_is_two(nowhere: CommandLine, name: str) -> None:
    needed = [word for word in EXAMPLES[name] if not word.startswith("-")][: NEEDED.get(name, 2)]
    for count in range(len(needed)):
        assert "Missing argument" in nowhere(*name.split(), *needed[:count]).misuse


@EVERY
def test_before_the_first_start_there_is_one_clear_line(nowhere: CommandLine, name: str) -> None:
    data_dir = Path(nowhere.environ["MAILSVC_DATA_DIR"])
    line = nowhere(*name.split(), *EXAMPLES[name], stdin="Secret-1\n").refusal
    assert line == f"there is no database {data_dir / 'mailsvc.sqlite3'} yet: `serve` makes it at its first start"
    assert not data_dir.exists()


@EVERY
def test_a_wrong_setting_is_one_clear_line(nowhere: CommandLine, name: str) -> None:
    refused = nowhere.with_settings(NONSENSE="1")(*name.split(), *EXAMPLES[name], stdin="Secret-1\n")
    assert refused.refusal == "MAILSVC_NONSENSE: there is no such setting"


@SQLITE
@pytest.mark.parametrize("revision", ["0000", "9999"])
@pytest.mark.parametrize("name", ["user list", "mailbox add", "backup", "reconcile"])
def test_a_database_of_another_version_is_left_alone(
    cli: CommandLine, settings: config.Settings, name: str, revision: str
) -> None:
    assert settings.database_file
    with closing(sqlite3.connect(settings.database_file)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [revision])
        connection.commit()
        before = [*connection.iterdump()]
        line = cli(*name.split(), *EXAMPLES[name], stdin="Secret-1\n").refusal
        assert revision in line
        assert [*connection.iterdump()] == before


@SQLITE
@EVERY
def test_a_damaged_database_is_one_clear_line(cli: CommandLine, settings: config.Settings, name: str) -> None:
    assert settings.database_file
    settings.database_file.write_bytes(b"not a database\n" * 1000)
    arguments = [word.replace("/absent", str(settings.data_dir)) for word in EXAMPLES[name]]
    shutil.copy(settings.database_file, settings.data_dir / "copy")
    assert cli(*name.split(), *arguments, stdin="Secret-1\n").refusal
    assert settings.database_file.read_bytes() == b"not a database\n" * 1000


@SQLITE
@pytest.mark.parametrize(
    "name", ["user add", "domain add", "mailbox add", "forward add", "spf on", "dkim on", "secrets rotate"]
)
def test_a_database_that_somebody_else_writes_is_one_clear_line(
    cli: CommandLine, settings: config.Settings, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.05)
    with locked(settings), closing(sqlite3.connect(str(settings.database_file))) as connection:
        before = [*connection.iterdump()]
        line = cli(*name.split(), *EXAMPLES[name], stdin="Secret-1\n").refusal
        assert line == "the database does not take it: database is locked"
        assert [*connection.iterdump()] == before


@SQLITE
@pytest.mark.parametrize("content", [None, b"", b"not a key\n"])
def test_a_key_file_that_seals_nothing_is_one_clear_line(
    cli: CommandLine, settings: config.Settings, content: bytes | None
) -> None:
    settings.key_file.unlink()
    if content is not None:
        settings.key_file.write_bytes(content)
    assert cli("dkim", "on", "example.com").refusal.startswith(f"cannot use the key file {settings.key_file}: ")


@EVERY
def test_a_database_server_that_does_not_answer_is_one_clear_line(nowhere: CommandLine, name: str) -> None:
    url = "postgresql+psycopg://mailsvc:Canary-9@127.0.0.1:1/mailsvc"
    line = nowhere.with_settings(DATABASE_URL=url)(*name.split(), *EXAMPLES[name], stdin="Secret-1\n").refusal
    assert "Canary-9" not in line


PATHS = {("mailhost render", "private_key")}
"""Where a secret is, which is none."""


def test_no_command_takes_a_secret_as_an_argument() -> None:
    for name, command in leaves():
        for parameter in command.params:
            words = {word for text in (parameter.name or "", *parameter.opts) for word in text.strip("-").split("-")}
            is_path = (name, parameter.name) in PATHS
            if words & {"password", "secret", "pass", "key", "token"} and not is_path:
                assert isinstance(parameter, click.Option) and parameter.is_flag, (name, parameter.name)


@SQLITE
@pytest.mark.parametrize("name", ["user add", "user passwd", "mailbox add", "mailbox passwd"])
def test_a_password_comes_from_standard_input(cli: CommandLine, name: str) -> None:
    asked = [word for word in EXAMPLES[name] if word != "--password-stdin"]
    assert "give the password with --password-stdin" in cli(*name.split(), *asked, stdin="Secret-1\n").misuse
    for option in ("--password=Secret-1", "--password", "-p"):
        assert "No such option" in cli(*name.split(), *asked, option).misuse
    for nothing in ("", "\n", "x" * 257 + "\n", "a\0b\n"):
        assert "password" in cli(*name.split(), *EXAMPLES[name], stdin=nothing).refusal
    assert cli(*name.split(), *EXAMPLES[name], stdin="  'Пароль' {SSHA}abc \r\nsecond line").text == ""


HOSTILE = ["two\nlines@example.com", "\x1b[31mred", "x" * 5000, "", " ", "\udcff\udcfe", "a@b@c", "*"]

NAMED = [name for name, words in EXAMPLES.items() if words and name not in ("backup", "restore", "token revoke")]
"""Commands whose first argument names what they work on."""


@SQLITE
@pytest.mark.parametrize("name", NAMED)
def test_whatever_is_named_the_refusal_is_one_printable_line(cli: CommandLine, name: str) -> None:
    for hostile in HOSTILE:
        if name == "user add" and hostile in ("a@b@c", "*"):
            continue  # a user may be called anything that is clean
        assert len(cli(*name.split(), hostile, *EXAMPLES[name][1:], stdin="Secret-1\n").refusal) < 10_000


@SQLITE
@pytest.mark.parametrize("name", ["backup", "restore"])
@pytest.mark.parametrize("hostile", ["two\nlines", "\x1b[31mred", "\udcff\udcfe", "x" * 300])
def test_whatever_a_file_is_called_what_is_said_of_it_is_printable(
    cli: CommandLine, tmp_path: Path, name: str, hostile: str
) -> None:
    done = cli(name, str(tmp_path / hostile))
    if name == "backup" and len(hostile) < 255:
        assert done.status == 0 and (tmp_path / hostile).is_file()
    else:
        assert done.refusal
