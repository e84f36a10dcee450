"""Whatever is sent, there is an answer in this wire's shape, never a 500, and nothing is ever half written."""

import io
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from mailsvc.services.ports import Ports
from tests.application import ALICE_SECRET, ROOT_SECRET
from tests.protocols.brainycp.panel import LISTS, URLENCODED, WRITING, Pair, basic, multipart, parsed
from tests.protocols.brainycp.stored import broken_promises, change, everything

OPERATIONS = (*WRITING, *LISTS)
OWN = ("email", "password", "quota", "source", "target", "save_local", "domain", "panel_user", "user_edit", "language")
NAMING = ("module", "mailclient", "subdo", *OPERATIONS)
CREDENTIALS = ("login", "username", "pass", "password")

VALUES = (
    "alice", "bob", "root", "nobody", ALICE_SECRET, ROOT_SECRET, "mailclient", " MailClient ", *OPERATIONS, "en", "ru",
    "old@example.com", "New@Example.com", "a@example.com", "b @ example.com", "c+x@example.com", "c@example.com",
    "o'brien=x@example.com", "box@bob.test", "a@b.example, C@d.example", "a@example.com,b@example.com", "x@почта.рф",
    "example.com", " Example.COM. ", "bob.test", "почта.рф", "nowhere.test", "0", "1", "1024", "-1", "1.5",
    "2147483648", "yes", "no", "", " ", ",", "@", "|/bin/sh", "'; DROP TABLE mailbox; --", "\0", "\n", "\ufffd",
    "%00", "x" * 300,
)  # fmt: skip


def spelled(name: str) -> st.SearchStrategy[str]:
    """The name in any mixture of cases."""
    cases = st.lists(st.booleans(), min_size=len(name), max_size=len(name))
    return cases.map(lambda upper: "".join(c.upper() if u else c for c, u in zip(name, upper, strict=True)))


known = st.sampled_from((*OWN, *NAMING, *CREDENTIALS, "email[]"))
names = known | known.flatmap(spelled) | st.text(max_size=6)
values = st.sampled_from(VALUES) | st.text(max_size=12)
anything = st.lists(st.tuples(names, values), max_size=8)

GOOD_FIELDS: list[list[Pair]] = [
    [("login", "alice"), ("pass", ALICE_SECRET)],
    [("username", "root"), ("pass", ROOT_SECRET)],
    [("username", "alice"), ("password", ALICE_SECRET)],
]
good_fields = st.sampled_from(GOOD_FIELDS)

ADDRESSES = ["a@example.com", "B @ example.com", "c+x@example.com", "c@example.com", "old@example.com", "box@bob.test"]
own_values: dict[str, st.SearchStrategy[str]] = {
    "email": st.sampled_from(ADDRESSES),
    "password": st.sampled_from(["Box-1", "{SSHA}abc", "пароль"]),
    "quota": st.sampled_from(["0", "1", " 1024 "]),
    "source": st.sampled_from(ADDRESSES),
    "target": st.lists(st.sampled_from([*ADDRESSES, "out@d.example", "x@почта.рф"]), min_size=1, max_size=3).map(
        ",".join
    ),
    "save_local": st.sampled_from(["1", "no", ""]),
    "domain": st.sampled_from(["example.com", "Example.COM.", "bob.test"]),
}
spoiling = st.tuples(st.sampled_from(OWN), values)


@st.composite
def sensible(draw: st.DrawFn) -> list[Pair]:
    """Fields that may well make an operation succeed, now and then with one that is left out or spoilt."""
    left_out = draw(st.sampled_from([*own_values, *[""] * len(own_values)]))
    own = [(name, draw(value)) for name, value in own_values.items() if name != left_out]
    named: list[Pair] = [("mailclient", "1"), (draw(st.sampled_from(OPERATIONS)), "1")]
    return [*draw(good_fields), *named, *own, *draw(st.lists(spoiling, max_size=1))]


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it goes over the wire."""

    method: str = "POST"
    path: str = "/api/api.php"
    query: bytes = b""
    body: bytes = b""
    content_type: str = URLENCODED
    headers: dict[str, str] = field(default_factory=dict)
    environ: dict[str, Any] = field(default_factory=dict)

    def send(self, client: FlaskClient) -> TestResponse:
        """The reply. Path and query reach the application byte by byte."""
        raw = {"PATH_INFO": self.path.encode().decode("latin-1"), "QUERY_STRING": self.query.decode("latin-1")}
        return client.open(
            "/", method=self.method, input_stream=io.BytesIO(self.body), content_type=self.content_type,
            content_length=len(self.body), headers=self.headers, environ_overrides=raw | self.environ,
        )  # fmt: skip


methods = st.sampled_from(["POST"] * 6 + ["GET"] * 3 + ["HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
segments = st.sampled_from([*OPERATIONS, "GetListMail ", "", "/", "x", "addmail/", "..", "ящик\0"]) | st.text(
    max_size=8
)
paths = st.sampled_from(["/api/api.php", "/mailclient"]) | segments.map(lambda segment: f"/mailclient/{segment}")
latin = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=20)
authorizations = st.sampled_from(
    [basic("alice", ALICE_SECRET), basic("root", ROOT_SECRET), basic("alice", "x"), basic("", ""), basic("a\0", "é")]
).map(lambda header: header["Authorization"])
headers = st.fixed_dictionaries(
    {},
    optional={
        "Authorization": authorizations | latin.map(lambda text: f"Basic {text}") | latin,
        "Origin": st.sampled_from(["http://localhost", "http://evil.test", "null", "http://[", "//", "x:y:z"]) | latin,
        "Sec-Fetch-Site": st.sampled_from(["cross-site", "same-origin"]) | latin,
        "Host": st.sampled_from(["localhost", "[::1]:8002", "a:b:c", "", "é", "x y"]) | latin,
        "Language": latin,
        "X-Request-ID": latin,
        "X-Forwarded-For": latin,
        "Transfer-Encoding": st.sampled_from(["chunked", "gzip"]),
    },
)


def encoded(fields: list[Pair]) -> bytes:
    return urlencode(fields, errors="surrogatepass").encode()


forms = st.builds(
    lambda method, path, first, query, fields, other: Call(
        method, path, encoded(query), encoded([*first, *fields]), headers=other
    ),
    methods, paths, good_fields | st.just([]), anything, anything, headers,
)  # fmt: skip
multiparts = st.builds(
    lambda path, first, fields: Call(
        path=path,
        body=multipart([*first, *fields])["data"],
        content_type="multipart/form-data; boundary=limit",
    ),
    paths, good_fields, st.lists(st.tuples(known, values), max_size=8),
)  # fmt: skip
sensible_calls = st.builds(lambda fields: Call(body=encoded(fields)), sensible())

fragments = st.sampled_from(
    [b"--limit", b"--limit--", b"\r\n", b"\n", b'Content-Disposition: form-data; name="email"', b"; filename=x", b"&",
     b"Content-Type: text/plain; charset=utf-16", b"Content-Disposition: form-data", b"\r\n\r\n", b"old@example.com",
     b"login=alice&pass=Panel-1&mailclient=1", b"addmail=1", b"%", b"%ff", b"=", b";", b"\xff\xfe", b"+", b"\0"]
)  # fmt: skip
bodies = st.lists(fragments | st.binary(max_size=8), max_size=12).map(b"".join)
types = st.sampled_from(
    [URLENCODED, f"{URLENCODED}; charset=utf-16", f"{URLENCODED}; charset=", "multipart/form-data; boundary=limit",
     'multipart/form-data; boundary=""', "multipart/form-data", "multipart/form-data; boundary=é", "multipart/mixed",
     "multipart/form-data; boundary=limit; boundary=x", "application/json", "text/plain", "", ";", "x/y/z; =", "é"]
) | latin  # fmt: skip
lengths = st.fixed_dictionaries(
    {},
    optional={
        "CONTENT_LENGTH": st.sampled_from(["", "0", "1", "1000", "-1", "x", "1e3", "99999999999", "5, 5", "\xb2"]),
        "wsgi.input_terminated": st.just(True),
    },
)
raw_calls = st.builds(Call, methods, paths, bodies, bodies, types, headers, lengths)


def check_shape(call: Call, response: TestResponse) -> int:
    """The code of the reply, 0 for the probe's blank page. Asserts that the reply is one of this wire's."""
    assert response.status_code in (200, 400, 404, 405, 413), response.text
    assert "WWW-Authenticate" not in response.headers
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    if call.method == "HEAD" or not response.data:
        assert response.data == b""
        assert call.method == "HEAD" or response.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert response.status_code == 200 or call.method == "HEAD"
        return 0
    reply = parsed(response)
    assert list(reply)[4:] in ([], ["data"], ["data", "boxes"])
    assert [type(value) for value in reply.values()][:4] == [int, str, int, str]
    assert reply["error"] in (0, 1, 2, 3, 4, 1000, 1001, 1002)
    assert not any(ord(letter) < 32 for letter in reply["mess"])
    code: int = reply["error"]
    return code


def check(call: Call, client: FlaskClient, ports: Ports) -> None:
    """Send it: the answer has the wire's shape, and only a success by POST may change something."""
    change(ports, "DELETE FROM login_block")
    change(ports, "DELETE FROM login_failure")
    before = everything(ports)
    code = check_shape(call, call.send(client))
    event(f"code {code}")
    if code or call.method != "POST":
        assert everything(ports) == before
    assert broken_promises(ports) == []


profile = settings(
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@profile
@given(call=sensible_calls)
def test_operations_in_any_order(client: FlaskClient, ports: Ports, call: Call) -> None:
    check(call, client, ports)


@profile
@given(call=forms | multiparts)
def test_any_fields(client: FlaskClient, ports: Ports, call: Call) -> None:
    check(call, client, ports)


@profile
@given(call=raw_calls)
def test_any_bytes(client: FlaskClient, ports: Ports, call: Call) -> None:
    check(call, client, ports)
