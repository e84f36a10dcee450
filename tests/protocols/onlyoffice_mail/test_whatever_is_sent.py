"""Any JSON at any method gives an answer of the contract, and never a trace of what went on inside."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.protocols.onlyoffice_mail.office import GENERIC, PREFIX, Office

STATUSES = {200, 201, 400, 404, 415, 500}

TEXTS = (
    GENERIC,
    "Account wasn't found by email: ",
    "The specified string is not in the form required for an e-mail address.",
    '<span class="attempt_header">',
)
"""What a 500 of the contract says."""

NAMES = [
    *("name", "email", "account", "password", "port", "server", "smtp_account", "smtp_password", "smtp_port"),
    *("smtp_server", "smtp_auth", "restrict", "incoming_encryption_type", "outcoming_encryption_type"),
    *("auth_type_in", "auth_type_smtp", "deliver_to", "imap", "state", "isDefault", "action", "other"),
]

PATHS = [
    *("", "/single", "/simple", "/state", "/default", "/setups", "/oauth", "/a@b.c", "/%00", "/single.json", ".xml"),
    *(f"{PREFIX}/operations/1", PREFIX, f"{PREFIX}/\u043f"),
]

TEXT = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["", "a@b.c", "old@example.com", "127.0.0.1", "\0", "\r\n", "0", "1", "true", "SSL", "\ud7ff"]),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.integers(), st.floats(allow_nan=False), TEXT),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=4,
)
BODIES = st.one_of(
    st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=22).map(
        # No connection anywhere: there are no servers of these names.
        lambda members: members | {"server": "", "smtp_server": ""}
    ),
    VALUES,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH"]), path=st.sampled_from(PATHS), body=BODIES)
def test_an_answer_of_the_contract(
    alice: Office, caplog: pytest.LogCaptureFixture, method: str, path: str, body: object
) -> None:
    answer = alice.call(method, path, data=json.dumps(body), content_type="application/json")
    assert answer.status_code in STATUSES
    said = json.loads(answer.text)
    assert said["statusCode"] == answer.status_code
    if answer.status_code == 500:
        assert said["error"]["message"].startswith(TEXTS)
    assert "Traceback" not in answer.text
    # Nothing of it was a bug of ours.
    assert not [record for record in caplog.records if record.exc_info]
