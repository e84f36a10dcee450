"""Secrets stay secret: in the database, in every answer, in the log (checklist 1, 28)."""

import logging

import pytest
from flask.testing import FlaskClient

from mailsvc.services.ports import Ports
from tests.application import ROOT_SECRET
from tests.protocols.docspace.portal import AUTHENTICATION, SAVED, STATUS, TEST, Portal, basic
from tests.protocols.docspace.test_testing import credentials, ended, save
from tests.servers.smtp import Sane, scripted
from tests.services.callers import everything

PASSWORD = "canary пароль 7391"


def test_a_password_is_in_no_answer_row_or_line(
    root: Portal, client: FlaskClient, ports: Ports, root_key: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    anybody = Portal(client)
    login = anybody.log_in("root", ROOT_SECRET)
    token = login.json["response"]["token"]
    answers = []
    with scripted(Sane(mechanisms=("PLAIN",), refuse_login="535 {password}")) as server:
        save(root, server.port, **credentials(PASSWORD))
        answers += [root.get().text, root.get(TEST).text, str(ended(root)), root.get(STATUS).text]
    answers += [
        root.save({**SAVED, "credentialsUserPassword": f"{PASSWORD}\r\n"}).text,
        root.save({**SAVED, "credentialsUserPassword": PASSWORD, "host": ""}).text,
        root.save({**SAVED, "credentialsUserPassword": PASSWORD, "port": "x"}).text,
        root.save({**SAVED, "credentialsUserPassword": [PASSWORD]}).text,
        root.call("POST", "/api/2.0/smtpsettings/smtp", {"Content-Type": "text/json"}, data=f'{{"{PASSWORD}').text,
        root.save({**SAVED, "credentialsUserPassword": PASSWORD}).text,
        root.get().text,
    ]
    for name, secret in (("nobody", PASSWORD), (PASSWORD, "x"), ("root", PASSWORD)):
        answers += [anybody.log_in(name, secret).text, anybody.log_in(name, secret, f"{AUTHENTICATION}.json").text]
        answers.append(anybody.call("GET", TEST, basic(name, secret)).text)
    answers.append(root.delete().text)
    root.save({**SAVED, "credentialsUserPassword": PASSWORD})
    rows = repr(everything(ports))
    for secret in (PASSWORD, "7391"):
        assert secret not in "".join(answers)
        assert secret not in rows
        assert secret not in caplog.text + str([record.__dict__ for record in caplog.records])
    for secret in (token, root_key, ROOT_SECRET):
        assert secret not in rows
        assert secret not in caplog.text


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_the_file_itself_holds_no_secret(root: Portal, ports: Ports, root_key: str) -> None:
    root.save({**SAVED, "credentialsUserPassword": PASSWORD})
    ports.store.close()
    file = ports.settings.database_file
    assert file is not None
    written = b"".join(path.read_bytes() for path in file.parent.glob(f"{file.name}*"))
    assert b"portal" in written
    for secret in (PASSWORD, root_key):
        assert secret.encode() not in written
