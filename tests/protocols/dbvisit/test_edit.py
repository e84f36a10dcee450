"""edit, show and clear. Checklist 2 to 5, 7, 8, 19, 20."""

import json
import threading
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from mailsvc.core.smtp_profile import INSTALLATION, OPPORTUNISTIC, SmtpProfile
from mailsvc.services import smtp_profiles
from mailsvc.services.ports import Ports
from mailsvc.services.smtp_profiles import Keep
from tests.application import act
from tests.protocols.dbvisit.calling import EMPTY, FAMILIES, ON_SQLITE, SAMPLE, Program

FULL: dict[str, Any] = {
    "allow_selfsigned_certs": True,
    "encryption": "TLS",
    "from_email": "Panel <panel@example.com>",
    "smtp_host": "smtp.example.com",
    "smtp_port": 465,
    "username": "panel",
}
CHANGES: dict[str, Any] = {
    "allow_selfsigned_certs": False,
    "encryption": "StartTLS",
    "from_email": "ä",
    "smtp_host": "::1",
    "smtp_port": 0,
    "username": "",
}
TEXT = "must be a string of at most"
NO_CONTROL = "characters without control characters"
MESSAGES = {
    "allow_selfsigned_certs": "allow_selfsigned_certs must be true or false",
    "encryption": "encryption must be one of: Plain, StartTLS, TLS",
    "from_email": f"from_email {TEXT} 320 {NO_CONTROL}",
    "password": f"password {TEXT} 1024 {NO_CONTROL}",
    "smtp_host": "smtp_host must be a host name or IP address of at most 255 characters",
    "smtp_port": "smtp_port must be an integer between 0 and 65535",
    "username": f"username {TEXT} 255 {NO_CONTROL}",
}
BAD: dict[str, list[Any]] = {
    "allow_selfsigned_certs": ["true", 1, 0, 1.0, [], {}, ""],
    "encryption": ["", "plain", "STARTTLS", "tls", "SSL", " TLS", True, 1, 1.5, [], {}, ["TLS"]],
    "from_email": [True, 1, 1.5, [], {}, "x" * 321, "a\nb", "a\x7fb", "a\x85b", "\0"],
    "password": [False, 1, 1.5, [], {}, "x" * 1025, "a\rb", "\t", "\x9f"],
    "smtp_host": [True, 1, 1.5, [], {}, "x" * 256, "a b", "http://a", "a/b", "u@h", "a\u00a0b", "a\tb", "\n"],
    "smtp_port": [True, False, "25", "", 25.0, 25.5, 1e3, -1, 65536, 10**30, [], {}],
    "username": [True, 1, 1.5, [], {}, "x" * 256, "a\x00b"],
}  # fmt: skip


def kept(ports: Ports) -> tuple[SmtpProfile, str | None]:
    """What is stored, with the password in clear."""
    found = smtp_profiles.found(ports, INSTALLATION)
    if found is None:
        return SmtpProfile(), None
    purpose = smtp_profiles.seal_purpose(INSTALLATION)
    return found.profile, None if found.password is None else ports.seals.open(purpose, found.password).decode()


def test_the_page_s_sample_is_echoed_without_the_password(root: Program, ports: Ports) -> None:
    response = root.post("edit", {**SAMPLE, "password": "string"})
    assert json.loads(response.data) == {"result": SAMPLE, "successful": True}
    assert list(json.loads(response.data)["result"]) == list(EMPTY)
    assert "password" not in response.text
    assert root.result("show") == SAMPLE
    assert kept(ports)[1] == "string"


@pytest.mark.parametrize("member", CHANGES)
def test_each_member_alone(member: str, root: Program, ports: Ports) -> None:
    root.result("edit", {**FULL, "password": "kept"})
    wanted = {**FULL, member: CHANGES[member]}
    assert root.result("edit", {member: CHANGES[member]}) == wanted
    assert root.result("show") == wanted
    assert kept(ports)[1] == "kept"


@ON_SQLITE
@pytest.mark.parametrize("password", ["other", " blanks ", "ü" * 1024, "\ufffd", '"'])
def test_the_password_alone(password: str, root: Program, ports: Ports) -> None:
    root.result("edit", {**FULL, "password": "first"})
    assert root.result("edit", {"password": password}) == FULL
    assert kept(ports)[1] == password
    assert root.result("edit", {"password": ""}) == FULL
    assert kept(ports)[1] is None


@ON_SQLITE
def test_null_and_unknown_parameters_change_nothing(root: Program, ports: Ports) -> None:
    root.result("edit", {**FULL, "password": "kept"})
    before = kept(ports)
    nulls = dict.fromkeys([*FULL, "password"])
    assert root.result("edit", nulls) == FULL
    assert root.result("edit", {"Encryption": "Plain", "colour": "red", "smtp-port": 1, "": 1}) == FULL
    response = root.send("edit", '{"x":1,"params":{"colour":"red"}}')
    assert "colour" not in response.text and response.status_code == 200
    assert kept(ports) == before


@ON_SQLITE
def test_the_last_of_a_repeated_name_counts(root: Program) -> None:
    root.send("edit", '{"params":{"smtp_port":1},"params":{"smtp_port":"x","smtp_port":2}}')
    assert root.result("show")["smtp_port"] == 2


@ON_SQLITE
@pytest.mark.parametrize(("member", "value"), [(member, value) for member, values in BAD.items() for value in values])
def test_every_wrong_value(member: str, value: Any, root: Program, ports: Ports) -> None:
    root.result("edit", {**FULL, "password": "kept"})
    before = kept(ports)
    for params in ({member: value}, {**CHANGES, "password": "x", member: value}):
        assert root.refusal("edit", params) == (400, MESSAGES[member])
    assert kept(ports) == before and root.result("show") == FULL


@ON_SQLITE
def test_of_two_wrong_ones_the_first_of_the_table_is_named(root: Program) -> None:
    names = list(MESSAGES)
    for position, first in enumerate(names):
        for second in names[position + 1 :]:
            assert root.refusal("edit", {second: [], first: []}) == (400, MESSAGES[first])
    assert root.result("show") == EMPTY


@ON_SQLITE
@pytest.mark.parametrize("port", [0, 1, 65535])
def test_ports_that_there_are(port: int, root: Program) -> None:
    assert root.result("edit", {"smtp_port": port})["smtp_port"] == port


@ON_SQLITE
def test_a_number_is_what_its_text_says(root: Program) -> None:
    for text in ("1e3", "25.0", "-0.0", "6.5535e4"):
        assert root.send("edit", f'{{"params":{{"smtp_port":{text}}}}}').status_code == 400
    assert root.send("edit", '{"params":{"smtp_port":-0}}').status_code == 200


@ON_SQLITE
def test_outer_blanks_go(root: Program, ports: Ports) -> None:
    sent = {
        "from_email": "  a@b.example ",
        "smtp_host": "\u00a0smtp.example.com ",
        "username": " u ",
        "password": " p ",
    }
    result = root.result("edit", sent)
    assert (result["from_email"], result["smtp_host"], result["username"]) == ("a@b.example", "smtp.example.com", "u")
    assert kept(ports)[1] == " p "
    assert root.result("edit", {"smtp_host": "   "})["smtp_host"] == ""
    assert root.result("edit", {"smtp_host": f" {'h' * 255} "})["smtp_host"] == "h" * 255


@ON_SQLITE
def test_other_scripts_come_back_as_they_are(root: Program) -> None:
    response = root.post("edit", {"username": "почта", "from_email": "Jürgen <j@b.example>"})
    assert "почта".encode() in response.data and b"\\u" not in response.data


@pytest.mark.parametrize("call", ["edit", "show", "clear"])
def test_nothing_asked(call: str, root: Program, ports: Ports) -> None:
    for body in ("", "{}", '{"params":null}', '{"params":{}}'):
        root.result("edit", {**FULL, "password": "kept"})
        response = root.send(call, body)
        assert json.loads(response.data)["result"] == (EMPTY if call == "clear" else FULL)
        assert kept(ports)[1] == (None if call == "clear" else "kept")


def test_nothing_asked_of_nothing_stores_nothing(root: Program, ports: Ports) -> None:
    assert root.result("edit") == EMPTY
    assert smtp_profiles.found(ports, INSTALLATION) is None


def test_clear_is_for_good(root: Program, ports: Ports) -> None:
    root.result("edit", {**FULL, "password": "gone"})
    assert root.result("clear") == root.result("clear") == root.result("show") == EMPTY
    assert root.result("edit", {"username": "u"}) == {**EMPTY, "username": "u"}
    assert kept(ports)[1] is None


@ON_SQLITE
def test_parameters_of_show_and_clear_are_ignored(root: Program) -> None:
    root.result("edit", FULL)
    assert root.result("show", {"smtp_port": "x"}) == FULL
    assert root.result("clear", {"smtp_port": "x"}) == EMPTY


def test_seven_edits_at_once_all_take_effect(app: Flask, ports: Ports) -> None:
    members = {**FULL, "password": "together"}
    start = threading.Barrier(len(members))
    statuses: list[int] = []

    def edit(member: str) -> None:
        program = Program(app.test_client())
        start.wait(30)
        statuses.append(program.post("edit", {member: members[member]}).status_code)

    threads = [threading.Thread(target=edit, args=(member,)) for member in members]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 7
    assert Program(app.test_client()).result("show") == FULL
    assert kept(ports)[1] == "together"
    with ports.store.reading() as unit:
        assert unit.scalar(sa.text("SELECT count(*) FROM smtp_profile")) == 1


def test_what_another_dialect_set_survives_edit_and_is_cleared(root: Program, ports: Ports) -> None:
    finer = SmtpProfile(
        security=OPPORTUNISTIC, mechanism="CRAM-MD5", sender_name="Panel", ehlo_name="helo.test", host="old.test"
    )
    smtp_profiles.change(ports, act(), INSTALLATION, lambda _: finer, Keep.STORED, subject="")
    root.result("edit", {**root.result("show"), "smtp_host": "new.test"})
    profile = kept(ports)[0]
    assert (profile.security, profile.mechanism, profile.sender_name, profile.ehlo_name, profile.host) == (
        OPPORTUNISTIC, "CRAM-MD5", "Panel", "helo.test", "new.test",
    )  # fmt: skip
    root.result("clear")
    root.result("edit", {"smtp_host": "new.test"})
    assert kept(ports)[0] == SmtpProfile(host="new.test")


@ON_SQLITE
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("slash", ["", "/"])
def test_both_families_with_and_without_a_slash(family: str, slash: str, root: Program) -> None:
    for call in ("edit", "show", "clear"):
        assert root.result(f"{family}/{call}{slash}") == EMPTY
    assert root.refusal(f"{family}/test{slash}") == (400, "to must be an e-mail address")
