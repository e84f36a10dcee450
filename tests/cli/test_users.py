"""``user``: added, listed, let in and kept out."""

import pytest
from flask.testing import FlaskClient

from tests.application import ALICE_SECRET, ROOT_SECRET
from tests.cli.command_line import CommandLine
from tests.protocols.brainycp.panel import Panel

SQLITE = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


def code(client: FlaskClient, name: str, secret: str) -> int:
    """What a list answers to this user: 1000 when he is not let in."""
    answer: int = Panel(client, name, secret).post("getlistmail")["error"]
    return answer


def test_a_user_is_added_and_listed(cli: CommandLine, client: FlaskClient) -> None:
    options = ("--role", "user", "--email", "c@example.net", "--language", "en", "--mailbox-limit", "5")
    assert cli("user", "add", "carol", *options, "--password-stdin", stdin="Carol-1\n").text == ""
    assert cli("user", "add", "dave", "--role", "root", "--password-stdin", stdin="Dave-1\n").text == ""
    assert cli("user", "list", "--json").rows == [
        {"name": "alice", "role": "user", "active": True, "email": None, "language": None,
         "mailbox_count": 1, "mailbox_limit": None},
        {"name": "bob", "role": "user", "active": True, "email": None, "language": None,
         "mailbox_count": 0, "mailbox_limit": None},
        {"name": "carol", "role": "user", "active": True, "email": "c@example.net", "language": "en",
         "mailbox_count": 0, "mailbox_limit": 5},
        {"name": "dave", "role": "root", "active": True, "email": None, "language": None,
         "mailbox_count": 0, "mailbox_limit": None},
        {"name": "root", "role": "root", "active": True, "email": None, "language": None,
         "mailbox_count": 0, "mailbox_limit": None},
    ]  # fmt: skip
    assert code(client, "carol", "Carol-1") == 1
    assert code(client, "dave", "Dave-1") == 0


@SQLITE
def test_the_table_is_for_reading(cli: CommandLine) -> None:
    cli("user", "add", "Кэрол", "--email", "c@example.net", "--password-stdin", stdin="Carol-1\n")
    head, *lines = cli("user", "list").text.splitlines()
    assert head.split() == ["name", "role", "active", "email", "language", "mailbox_count", "mailbox_limit"]
    assert [line.split() for line in lines] == [
        ["alice", "user", "yes", "-", "-", "1", "-"],
        ["bob", "user", "yes", "-", "-", "0", "-"],
        ["root", "root", "yes", "-", "-", "0", "-"],
        ["Кэрол", "user", "yes", "c@example.net", "-", "0", "-"],
    ]
    column = head.index("role")
    assert {line[column : column + 4] for line in lines} == {"user", "root"}


def test_a_password_is_changed_at_once(cli: CommandLine, client: FlaskClient) -> None:
    assert code(client, "alice", ALICE_SECRET) == 0
    assert cli("user", "passwd", "alice", "--password-stdin", stdin="Другой-2\r\n").text == ""
    assert code(client, "alice", ALICE_SECRET) == 1000
    assert code(client, "alice", "Другой-2") == 0


def test_a_user_is_kept_out_and_let_in_again(cli: CommandLine, client: FlaskClient) -> None:
    assert code(client, "alice", ALICE_SECRET) == 0
    for _ in range(2):
        assert cli("user", "disable", "alice").text == ""
        assert code(client, "alice", ALICE_SECRET) == 1000
    assert [row["active"] for row in cli("user", "list", "--json").rows] == [False, True, True]
    for _ in range(2):
        assert cli("user", "enable", "alice").text == ""
        assert code(client, "alice", ALICE_SECRET) == 0


def test_a_user_is_removed_once_nothing_is_his(cli: CommandLine, client: FlaskClient) -> None:
    line = cli("user", "remove", "alice").refusal
    assert line == "user alice still owns 1 domains: remove them or give them away first"
    assert cli("domain", "give", "example.com", "--owner", "bob").text == ""
    assert cli("user", "remove", "alice").text == ""
    assert cli("user", "remove", "alice").refusal == "there is no user alice"
    assert code(client, "alice", ALICE_SECRET) == 1000


def test_the_last_root_user_stays(cli: CommandLine, client: FlaskClient) -> None:
    for command in ("disable", "remove"):
        assert cli("user", command, "root").refusal == "root is the last active root user"
    cli("user", "add", "second", "--role", "root", "--password-stdin", stdin="Second-1\n")
    assert cli("user", "disable", "second").text == ""
    assert cli("user", "remove", "root").refusal == "root is the last active root user"
    assert code(client, "root", ROOT_SECRET) == 0
    assert cli("user", "enable", "second").text == ""
    assert cli("user", "remove", "root").text == ""


@pytest.mark.parametrize("command", ["passwd", "disable", "enable", "remove"])
def test_an_unknown_user_is_named(cli: CommandLine, command: str) -> None:
    option = ["--password-stdin"] if command == "passwd" else []
    for name in ("nobody", "Alice", " alice"):
        assert cli("user", command, name, *option, stdin="Secret-1\n").refusal == f"there is no user {name}"


@SQLITE
def test_names_are_what_every_way_of_signing_in_can_say(cli: CommandLine) -> None:
    assert cli("user", "add", "alice", "--password-stdin", stdin="x\n").refusal == "alice is there already"
    for name in ("with:colon", " blank", "blank ", "x" * 65):
        assert cli("user", "add", name, "--password-stdin", stdin="x\n").refusal.startswith("not a usable name (")
    for email in ("nobody", "a@b@c", "a b@c"):
        arguments = ("user", "add", "carol", "--email", email, "--password-stdin")
        assert cli(*arguments, stdin="x\n").refusal.startswith("not a usable email")
    assert len(cli("user", "list", "--json").rows) == 3
