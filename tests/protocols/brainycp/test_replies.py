"""The shape of a reply, and every text of the contract in both languages (sections 4 and 9), reached by real calls."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from mailsvc.app import create_app
from mailsvc.core.addresses import mail_address, mailbox_address
from mailsvc.protocols.brainycp.operations import OPERATIONS
from mailsvc.services import dkim, domains, forwards, mailboxes, spf, users
from mailsvc.services.ports import Ports
from tests.application import act, settings_for
from tests.protocols.brainycp.panel import LISTS, ON_SQLITE, SWITCHES, WRITING, Panel, form, parsed
from tests.protocols.brainycp.stored import change, everything

CODES: dict[str, set[int]] = {
    "addmail": {0, 1, 2, 3, 4, 1000, 1001},
    **{name: {0, 1, 2, 1000, 1001} for name in ("delmail", "addforward", "delforward")},
    **{name: {0, 1, 2, 3, 1000, 1001} for name in (*SWITCHES, *LISTS)},
}
"""Every code of every operation, beside 1002."""

ROOT = "&login=root&pass=Root-1"
BOX = "&password=Box-1&quota=0"

# operation, fields in the state of `language_panel`, code, English, Russian
CASES: list[tuple[str, str, int, str, str]] = [
    ("addmail", f"email=New@example.com{BOX}", 0,
     "Mailbox added successfully: new@example.com",
     "Почтовый ящик успешно добавлен:new@example.com"),
    ("addmail", f"email=Old@example.com{BOX}", 1,
     "This mailbox already exists: old@example.com",
     "Такой почтовый ящик уже существует: old@example.com"),
    ("addmail", f"email=New@full.test{BOX}{ROOT}", 3,
     "An error occurred while adding mailbox: new@full.test",
     "Возникла ошибка при добавлении почтового ящика:new@full.test"),
    ("addmail", f"email=New@nowhere.test{BOX}", 4,
     "The specified domain in the mailbox was not found in the system: new@nowhere.test",
     "Указанный домен в почтовом ящике не найден в системе: new@nowhere.test"),
    ("delmail", "email=gone@example.com", 0,
     "Mailbox successfully deleted",
     "Почтовый ящик успешно удален"),
    ("delmail", "email=None@example.com", 1,
     "Error deleting mailbox: no such mailbox: none@example.com",
     "Ошибка при удалении почтового ящика: почтовый ящик не найден: none@example.com"),
    ("addforward", "source=X@example.com&target=A@b.example, c@d.example,", 0,
     "Mailbox forwarding was successfully defined: x@example.com => a@b.example,c@d.example",
     "Пересылка почтового ящика успешно задана: x@example.com => a@b.example,c@d.example"),
    ("addforward", "source=X@nowhere.test&target=a@b.example", 1,
     "Mailbox forwarding error: domain not found for this user: nowhere.test",
     "Ошибка пересылки почтового ящика: домен не найден для этого пользователя: nowhere.test"),
    ("addforward", "source=l@example.com&target=a@b.example,L@example.com", 1,
     "Mailbox forwarding error: forwarding loop: l@example.com => l@example.com",
     "Ошибка пересылки почтового ящика: петля пересылки: l@example.com => l@example.com"),
    ("addforward", "source=M@example.com&target=" + ",".join(f"t{n}@b.example" for n in range(101)), 1,
     "Mailbox forwarding error: more than 100 destination addresses: m@example.com",
     "Ошибка пересылки почтового ящика: более 100 адресов назначения: m@example.com"),
    ("delforward", "source=gone@example.com", 0,
     "Mailbox forwarding was deleted",
     "Пересылка почтового ящика удалена"),
    ("delforward", "source=None@example.com", 1,
     "Error deleting mailbox forwarding: no forwarding is defined for: none@example.com",
     "Ошибка при удалении пересылки почтового ящика: пересылка не задана для: none@example.com"),
    ("delforward", "source=Kept@example.com&target=a@b.example,X@b.example,y@b.example", 1,
     "Error deleting mailbox forwarding: no such forwarding: kept@example.com => x@b.example",
     "Ошибка при удалении пересылки почтового ящика: такой пересылки нет: kept@example.com => x@b.example"),
    ("onspf", "domain=example.com", 0, "Entry for domain is enabled", "Запись для домена включена"),
    ("ondkim", "domain=example.com", 0, "Entry for domain is enabled", "Запись для домена включена"),
    ("offspf", "domain=off.test", 0, "The record is disabled for the domain", "Запись для домена отключена"),
    ("offdkim", "domain=off.test", 0, "The record is disabled for the domain", "Запись для домена отключена"),
    ("onspf", "domain=Nowhere.test.", 2,
     "Error enabling SPF record for domain nowhere.test",
     "Ошибка при включении SPF-записи для домена nowhere.test"),
    ("offspf", "domain=Nowhere.test.", 2,
     "Error disabling SPF record for domain nowhere.test",
     "Ошибка при отключении SPF-записи для домена nowhere.test"),
    ("ondkim", "domain=Nowhere.test.", 2,
     "Error enabling dkim record for domain nowhere.test",
     "Ошибка при включении dkim-записи для домена nowhere.test"),
    ("offdkim", "domain=Nowhere.test.", 2,
     "Error disabling Dkim record for domain nowhere.test",
     "Ошибка при отключении Dkim-записи для домена nowhere.test"),
    ("onspf", "domain=On.test", 3,
     "SPF is already enabled for domain: on.test",
     "SPF уже включен для домена: on.test"),
    ("offspf", "domain=None.test", 3,
     "SPF is already disabled for domain: none.test",
     "SPF уже отключен для домена: none.test"),
    ("ondkim", "domain=On.test", 3,
     "dkim is already enabled for domain: on.test",
     "dkim уже включен для домена: on.test"),
    ("offdkim", "domain=None.test", 3,
     "Dkim is already disabled for domain: none.test",
     "Dkim уже отключен для домена: none.test"),
    *((name, "", 2, "Error in the parameter array", "Ошибка в массиве параметров") for name in WRITING[:4]),
    *((name, "", 1, "Error in the parameter array", "Ошибка в массиве параметров") for name in SWITCHES),
    *((name, "module=", 2, "Error in the parameter array", "Ошибка в массиве параметров") for name in LISTS),
    *((name, "", 0,
       "The mailbox list was successfully retrieved for: alice",
       "Список почтовых ящиков был успешно получен для: alice") for name in LISTS),
    *((name, f"panel_user=bob{ROOT}", 1,
       "Nothing was found for: bob",
       "Ничего не было найдено для: bob") for name in LISTS),
    *((name, "panel_user=bob", 1000,
       "You do not have permission to administer this user",
       "У вас нет прав для администрирования этого пользователя") for name in WRITING),
    *((name, "panel_user=bob", 1000,
       "You do not have administrator rights",
       "У вас нет прав администратора") for name in LISTS),
    *((name, "login=nobody", 1000,
       "You do not have permission to administer this user",
       "У вас нет прав для администрирования этого пользователя") for name in (*WRITING, *LISTS)),
    *((name, f"panel_user=nobody{ROOT}", 1001,
       "There is no such user in the ISP-panel",
       "Такой пользователь отсутствует в ISP-панели") for name in WRITING),
    *((name, f"panel_user=Nobody{ROOT}", 1001,
       "There is no such user in the ISP-panel: Nobody",
       "Такой пользователь отсутствует в ISP-панели:Nobody") for name in LISTS),
    *((name, "subdo=x", 1002, "Wrong command", "Неверная команда") for name in (*WRITING, *LISTS)),
]  # fmt: skip


@pytest.fixture(scope="module", params=["en", "ru"])
def language_panel(
    request: pytest.FixtureRequest, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Panel]]:
    """A language, and alice in a state in which every case of CASES finds its own things."""
    directory = tmp_path_factory.mktemp("replies") / "data"
    shutil.copytree(sqlite_template, directory)
    app = create_app(settings_for(directory))
    ports: Ports = app.extensions["mailsvc"]
    users.add(ports, act(), name="carol", password="Panel-5", role="user", mailbox_limit=0)
    domains.add(ports, act(), name="full.test", owner="carol")
    for name in ("on.test", "off.test", "none.test"):
        domains.add(ports, act(), name=name, owner="alice")
    for name in ("on.test", "off.test"):
        spf.enable(ports, act(), domain=name)
        dkim.enable(ports, act(), domain=name)
    mailboxes.add(ports, act(), address=mailbox_address("gone@example.com"), password="Box-1", quota_mib=0)
    for source in ("kept@example.com", "gone@example.com"):
        forwards.add(ports, act(), source=mail_address(source), targets=[mail_address("a@b.example")])
    yield request.param, Panel(app.test_client())
    ports.store.close()


@pytest.mark.parametrize(("operation", "fields", "code", "en", "ru"), CASES)
def test_every_text(
    language_panel: tuple[str, Panel], operation: str, fields: str, code: int, en: str, ru: str
) -> None:
    """Checklist 2 and 11: code, exact text and members, for every code of every operation."""
    language, alice = language_panel
    text = {"en": en, "ru": ru}[language]
    response = alice.send([(operation, "1"), ("language", language), *parse_qsl(fields, keep_blank_values=True)])
    assert response.status_code == 200
    assert text.encode() in response.data
    reply = parsed(response)
    assert (reply["error"], reply["mess"]) == (code, text)
    assert [type(reply[name]) for name in ("error", "code")] == [int, int]
    lists = {"getlistmail": ["data", "boxes"], "getforwardmail": ["data"]}.get(operation, [])
    shown = code in (0, 1)
    assert list(reply)[4:] == (lists if shown else [])
    assert [bool(reply[name]) for name in lists if shown] == [code == 0 for _ in lists if shown]


def test_no_code_was_left_out() -> None:
    covered = {(operation, code) for operation, _, code, _, _ in CASES if code != 1002}
    covered |= {(operation, 3) for operation in LISTS}
    assert covered == {(operation, code) for operation, codes in CODES.items() for code in codes}
    assert {name: {outcome.code for outcome in row.outcomes} for name, row in OPERATIONS.items()} == CODES


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("x" * 64, "x" * 64),
        ("x" * 65, "x" * 64),
        ("я" * 70, "я" * 64),
        ("no\0bo\x1bdy\r\n", "nobody"),
        ("\x7f\x85no\ufffdbody", "nobody"),
        (" Nobody ", " Nobody "),
        ('"},{', '"},{'),
    ],
)
def test_the_unknown_user_is_shown_short_and_clean(in_vain: Panel, sent: str, shown: str) -> None:
    for operation in LISTS:
        reply = in_vain.says(operation, login="root", **{"pass": "Root-1", "panel_user": sent})
        assert reply == (1001, f"There is no such user in the ISP-panel: {shown}")


@ON_SQLITE
def test_a_reply_is_one_object_without_a_mark_before_it(alice: Panel) -> None:
    for operation in LISTS:
        response = alice.send([("subdo", operation)])
        assert response.data.startswith(b"{") and response.data.endswith(b"}")
        assert int(response.headers["Content-Length"]) == len(response.data)
        names = [name for name, _ in json.loads(response.data, object_pairs_hook=list)]
        assert len(names) == len(set(names))
        assert b"\\u" not in response.data


# Failures of our own: a table is missing. The code is the contract's, and what was half done is undone.

INTERNAL = ("internal error, see the server log", "внутренняя ошибка, см. журнал сервера")

BROKEN: list[tuple[str, str, str, int, str, str]] = [
    ("audit_entry", "addmail", f"email=x@example.com{BOX}", 3,
     "An error occurred while adding mailbox: x@example.com",
     "Возникла ошибка при добавлении почтового ящика:x@example.com"),
    ("audit_entry", "delmail", "email=old@example.com", 1,
     f"Error deleting mailbox: {INTERNAL[0]}",
     f"Ошибка при удалении почтового ящика: {INTERNAL[1]}"),
    ("audit_entry", "addforward", "source=kept@example.com&target=z@b.example&save_local=1", 1,
     f"Mailbox forwarding error: {INTERNAL[0]}",
     f"Ошибка пересылки почтового ящика: {INTERNAL[1]}"),
    ("audit_entry", "delforward", "source=kept@example.com&target=a@b.example", 1,
     f"Error deleting mailbox forwarding: {INTERNAL[0]}",
     f"Ошибка при удалении пересылки почтового ящика: {INTERNAL[1]}"),
    ("dns_record", "onspf", "domain=example.com", 2,
     "Error enabling SPF record for domain example.com",
     "Ошибка при включении SPF-записи для домена example.com"),
    ("dns_record", "offspf", "domain=example.com", 2,
     "Error disabling SPF record for domain example.com",
     "Ошибка при отключении SPF-записи для домена example.com"),
    ("dkim_key", "ondkim", "domain=example.com", 2,
     "Error enabling dkim record for domain example.com",
     "Ошибка при включении dkim-записи для домена example.com"),
    ("dns_record", "offdkim", "domain=example.com", 2,
     "Error disabling Dkim record for domain example.com",
     "Ошибка при отключении Dkim-записи для домена example.com"),
    ("mailbox", "getlistmail", "", 3, "Internal error, see the server log", "Внутренняя ошибка, см. журнал сервера"),
    ("forward", "getforwardmail", "", 3, "Internal error, see the server log", "Внутренняя ошибка, см. журнал сервера"),
]  # fmt: skip


def test_failures_of_our_own(alice: Panel, ports: Ports) -> None:
    assert alice.says("addforward", source="kept@example.com", target="a@b.example,c@d.example")[0] == 0
    before = everything(ports)
    for table, operation, fields, code, en, ru in BROKEN:
        change(ports, f"ALTER TABLE {table} RENAME TO lost")
        for language, text in (("en", en), ("ru", ru)):
            response = alice.send([(operation, "1"), *parse_qsl(fields), ("language", language)])
            assert response.status_code == (500 if operation in LISTS else 200)
            reply = parsed(response)
            assert (reply["error"], reply["mess"], len(reply)) == (code, text, 4)
        change(ports, f"ALTER TABLE lost RENAME TO {table}")
    assert everything(ports) == before


@ON_SQLITE
def test_a_sign_in_that_fails_by_our_own_fault_is_not_the_callers(alice: Panel, ports: Ports) -> None:
    change(ports, "ALTER TABLE panel_user RENAME TO lost")
    for _, operation, fields, code, _, _ in BROKEN:
        response = alice.send([(operation, "1"), *parse_qsl(fields)])
        assert (parsed(response)["error"], response.status_code == 500) == (code, operation in LISTS)
    probe = form(alice.client, [("login", "alice"), ("pass", "x"), ("language", "en")])
    assert (probe.status_code, parsed(probe)["error"]) == (500, 3)
