"""Requests of every kind over real connections: large, malformed, slow, secretive, and from behind a proxy."""

import json
import re
import socket
import struct
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.application import ALICE_SECRET, ROOT_SECRET
from tests.service.calling import FORM, Pair, Reply, addmail, basic, call, mailboxes, perform, post, raw
from tests.service.running import LIMIT, MAILSVC, Service, serving, wait_until

MIB = 1024 * 1024

CANARY = "Canary-2b77"
"""Stands in for a secret: it must not come up in any log or reply."""

BAD_PARAMETERS = "Ошибка в массиве параметров"
NO_RIGHTS = "You do not have permission to administer this user"

OF_ALICE: list[Pair] = [("login", "alice"), ("pass", ALICE_SECRET), ("module", "mailclient"), ("language", "en")]


def request_lines(service: Service) -> list[dict[str, Any]]:
    return [line for line in service.log_lines() if line["logger"] == "mailsvc.request"]


# Size


def refused_as_too_large(reply: Reply) -> None:
    wire = reply.wire()
    assert (reply.status, wire["error"], wire["mess"]) == (413, 2, BAD_PARAMETERS)
    assert BAD_PARAMETERS.encode() in reply.body


def sized(size: int) -> bytes:
    """The form of a list, made as large as that by a field that counts for nothing."""
    fields = f"login=alice&pass={ALICE_SECRET}&module=mailclient&subdo=getlistmail&language=en&padding="
    return fields.encode().ljust(size, b"x")


def in_chunks(body: bytes) -> Iterator[bytes]:
    yield from (body[start : start + 65_536] for start in range(0, len(body), 65_536))


def test_a_body_of_one_mebibyte_is_read(shared: Service) -> None:
    for reply in (
        call(shared, "POST", "/api/api.php", sized(MIB), {"Content-Type": FORM}),
        call(shared, "POST", "/api/api.php", in_chunks(sized(MIB)), {"Content-Type": FORM}),
    ):
        assert (reply.status, reply.wire()["data"]) == (200, ["old@example.com"])


@pytest.mark.parametrize("size", [MIB + 1, 2 * MIB, 4 * MIB])
def test_a_larger_one_is_refused_and_the_refusal_can_be_read(shared: Service, size: int) -> None:
    refused_as_too_large(call(shared, "POST", "/api/api.php", sized(size), {"Content-Type": FORM}))


@pytest.mark.parametrize("size", [MIB + 1, 2 * MIB, 4 * MIB])
def test_so_is_one_in_chunks(shared: Service, size: int) -> None:
    refused_as_too_large(call(shared, "POST", "/api/api.php", in_chunks(sized(size)), {"Content-Type": FORM}))


def test_so_is_one_in_parts(shared: Service) -> None:
    part = b'--limit\r\nContent-Disposition: form-data; name="padding"\r\n\r\n' + b"x" * MIB + b"\r\n--limit--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=limit"}
    refused_as_too_large(call(shared, "POST", "/mailclient", part, headers))


def test_a_body_that_was_only_announced_is_refused_at_once(shared: Service) -> None:
    head = f"POST /api/api.php HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: {10 * MIB}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", shared.port), LIMIT) as connection:
        connection.sendall(head.encode())
        assert connection.recv(65_536).startswith(b"HTTP/1.1 413 ")


def test_curl_shows_the_refusal(shared: Service) -> None:
    command = ["curl", "-sS", "-w", "%{http_code}", "--data-binary", "@-", f"{shared.url}/api/api.php"]
    done = subprocess.run(command, input=sized(2 * MIB), capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout.removesuffix(b"413"))["mess"] == BAD_PARAMETERS


def test_a_thousand_fields_are_read_and_a_flood_is_refused(shared: Service) -> None:
    known = [*OF_ALICE, ("subdo", "getlistmail")]
    reply = post(shared, [*[("padding", "x")] * (1000 - len(known)), *known])
    assert reply.wire()["data"] == ["old@example.com"]
    for flood in (1001, 100_000):
        refused_as_too_large(post(shared, [*[("p", "x")] * (flood - len(known)), *known]))
    refused_as_too_large(call(shared, "GET", "/api/api.php?" + "a&" * 2000))


# Methods


@pytest.mark.parametrize("path", ["/api/api.php", "/mailclient", "/mailclient/", "/mailclient/addmail"])
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
def test_methods_that_nobody_needs(shared: Service, method: str, path: str) -> None:
    reply = call(shared, method, path)
    assert (reply.status, reply.headers["Allow"]) == (405, "GET, POST")
    assert (reply.wire()["error"], reply.wire()["mess"]) == (2, BAD_PARAMETERS)


@pytest.mark.parametrize(
    ("query", "status"),
    [("", 200), ("&module=mailclient&subdo=getlistmail", 200), ("&module=mailclient&subdo=addmail", 405)],
)
def test_head_is_get_without_a_body(shared: Service, query: str, status: int) -> None:
    path = f"/api/api.php?login=alice&pass={ALICE_SECRET}{query}"
    got, headed = call(shared, "GET", path), call(shared, "HEAD", path)
    assert (got.status, headed.status, headed.body) == (status, status, b"")
    for name in ("Content-Type", "Content-Length", "Allow"):
        assert headed.headers[name] == got.headers[name]


def test_the_headers_of_every_reply_are_safe(shared: Service) -> None:
    for method, path in (("GET", "/healthz"), ("GET", "/absent"), ("PUT", "/api/api.php"), ("POST", "/mailclient")):
        headers = call(shared, method, path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["Referrer-Policy"] == "no-referrer"
        # No version of anything.
        assert headers["Server"] in (None, "gunicorn", "mailsvc")
        assert headers["WWW-Authenticate"] is None and headers["Set-Cookie"] is None


# What is no HTTP


HOST = b"Host: x\r\n"
CHUNKED = (
    b"POST /api/api.php HTTP/1.1\r\n" + HOST + b"Content-Type: " + FORM.encode() + b"\r\nTransfer-Encoding: chunked\r\n"
)
SECRET = CANARY.encode()

MALFORMED: dict[str, tuple[bytes, int]] = {
    "no request": (b"pass=" + SECRET + b"\r\n\r\n", 400),
    "no path": (b"GET\r\nX: " + SECRET + b"\r\n\r\n", 400),
    "another version": (b"GET /?pass=" + SECRET + b" HTTP/9.9\r\n" + HOST + b"\r\n", 400),
    "a control character": (b"GET /?pass=" + SECRET + b"\0 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "bytes in the path": (b"GET /\xff\xfe?pass=" + SECRET + b" HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "no header": (b"GET / HTTP/1.1\r\n" + HOST + SECRET + b"\r\n\r\n", 400),
    "a bad header name": (b"GET / HTTP/1.1\r\n" + HOST + b"X " + SECRET + b": x\r\n\r\n", 400),
    "a bad length": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: " + SECRET + b"\r\n\r\n", 400),
    "a negative length": (b"POST /?" + SECRET + b" HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n", 400),
    "two lengths": (
        b"POST /?" + SECRET + b" HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        400,
    ),
    "two ways to end": (CHUNKED + b"Content-Length: 3\r\n\r\n0\r\n\r\n" + SECRET, 400),
    "a bad chunk": (CHUNKED + b"\r\n" + SECRET + b"\r\n\r\n", 400),
    "a long line": (b"GET /?pass=" + SECRET * 2000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    "a long header": (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + SECRET * 2000 + b"\r\n\r\n", 431),
    "many headers": (b"GET / HTTP/1.1\r\n" + HOST + (b"X: " + SECRET + b"\r\n") * 300 + b"\r\n", 431),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + SECRET + b"\r\n\r\n", 400),
    "another protocol": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SECRET, 400),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_what_is_no_http_is_refused_without_repeating_it(shared: Service, what: str) -> None:
    sent, status = MALFORMED[what]
    lines = len(shared.log_lines())
    received = raw(shared, sent)
    assert received.startswith(f"HTTP/1.1 {status} ".encode())
    assert SECRET not in received
    wait_until(lambda: len(shared.log_lines()) > lines, "a log line")
    (line,) = shared.log_lines()[lines:]
    assert "127.0.0.1" in json.dumps(line) and line["level"] != "error"
    assert CANARY not in json.dumps(line)
    assert shared.answers()


# A bad chunk comes after a request that was read, so it is known whose wire it is.
@pytest.mark.parametrize("what", sorted(MALFORMED.keys() - {"a bad chunk"}))
def test_who_sent_no_request_is_answered_in_plain_text(shared: Service, what: str) -> None:
    head, _, body = raw(shared, MALFORMED[what][0]).partition(b"\r\n\r\n")
    status, *headers = head.split(b"\r\n")
    assert body == status.removeprefix(b"HTTP/1.1 ") + b"\n"
    assert b"Content-Length: %d" % len(body) in headers
    assert {b"Content-Type: text/plain; charset=utf-8", b"X-Content-Type-Options: nosniff"} <= set(headers)


def test_a_client_that_goes_away_is_not_an_error(shared: Service) -> None:
    lines = len(shared.log_lines())
    for part in (b"", b"GET", CHUNKED, CHUNKED + b"\r\n5\r\nab", b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nab"):
        with socket.create_connection(("127.0.0.1", shared.port), LIMIT) as connection:
            connection.sendall(part)
            # A reset instead of an orderly end.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert mailboxes(shared) == {"old@example.com"}
    assert [line for line in shared.log_lines()[lines:] if line["level"] == "error"] == []


@pytest.mark.parametrize("ending", ["length", "chunks"])
def test_a_body_cut_short_does_nothing(service: Service, ending: str) -> None:
    lines = len(service.log_lines())
    fields = [*OF_ALICE, ("subdo", "addmail"), ("email", "half@example.com"), ("password", "Box-1"), ("quota", "1")]
    body = urlencode(fields).encode()
    if ending == "length":
        # The last digit of the quota is missing.
        head = CHUNKED.replace(b"Transfer-Encoding: chunked", f"Content-Length: {len(body) + 1}".encode())
    else:
        head, body = CHUNKED, f"{len(body):x}\r\n".encode() + body + b"\r\n"
    with socket.create_connection(("127.0.0.1", service.port), LIMIT) as connection:
        connection.sendall(head + b"\r\n" + body)
        connection.shutdown(socket.SHUT_WR)
        received = connection.recv(65_536)
    assert not received.startswith(b"HTTP/1.1 2") and not received.startswith(b"HTTP/1.1 5")
    assert mailboxes(service) == {"old@example.com"}
    assert [line for line in service.log_lines()[lines:] if line["level"] == "error"] == []


# Connections


def test_a_connection_is_kept_for_further_requests(shared: Service) -> None:
    connection = shared.connection()
    connection.connect()
    kept = connection.sock
    for path, status in (("/healthz", 200), ("/absent", 404), ("/api/api.php", 200), ("/healthz", 200)):
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        assert (response.status, connection.sock is kept) == (status, True)
    connection.close()


def test_what_follows_a_refused_body_is_not_taken_for_a_request(shared: Service) -> None:
    hidden = b"GET /mailclient/hidden HTTP/1.1\r\nHost: x\r\n\r\n"
    body = hidden.ljust(MIB + 1, b"x")
    head = f"POST /api/api.php HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: {len(body)}\r\n"
    lines = len(request_lines(shared))
    received = raw(shared, head.encode() + b"Connection: close\r\n\r\n" + body)
    assert received.count(b"HTTP/1.1 ") == 1 and received.startswith(b"HTTP/1.1 413 ")
    assert [line["status"] for line in request_lines(shared)[lines:]] == [413]


def test_requests_may_be_sent_before_the_replies_are_read(shared: Service) -> None:
    get = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
    received = raw(shared, (get + b"\r\n") * 3 + get + b"Connection: close\r\n\r\n")
    assert received.count(b"HTTP/1.1 200 OK\r\n") == received.count(b"\r\n\r\nok\n") == 4


def test_the_old_version_of_http_is_answered(shared: Service) -> None:
    received = raw(shared, b"GET /healthz HTTP/1.0\r\n\r\n")
    assert received.startswith(b"HTTP/1.") and received.endswith(b"\r\n\r\nok\n")


def test_a_slow_client_gets_its_answer_and_holds_up_nobody(shared: Service) -> None:
    body = f"login=alice&pass={ALICE_SECRET}&module=mailclient&subdo=getlistmail".encode()
    head = f"POST /api/api.php HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: {len(body)}\r\n"
    with socket.create_connection(("127.0.0.1", shared.port), LIMIT) as connection:
        for byte in head.encode() + b"Connection: close\r\n\r\n" + body:
            connection.sendall(bytes([byte]))
            if byte == ord("\n"):
                assert shared.answers()
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 OK\r\n")


def test_clients_that_never_finish_do_not_lock_everybody_out(data_dir: Path) -> None:
    half = b"POST /api/api.php HTTP/1.1\r\nHost: x\r\nContent-Le"
    with serving(data_dir, {"WORKERS": "1", "THREADS": "2"}) as service, ExitStack() as connections:
        for _ in range(2):
            # One for each thread.
            connection = connections.enter_context(socket.create_connection(("127.0.0.1", service.port), LIMIT))
            connection.sendall(half)
        assert call(service, "GET", "/healthz").status == 200


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux says where memory is")
def test_no_worker_keeps_the_memory_of_the_hash_that_signed_a_caller_in(service: Service) -> None:
    workers = service.all_workers()
    before = {worker: own_memory(worker) for worker in workers}
    for worker in workers:
        with service.only(worker):
            assert mailboxes(service)
    # A hash takes 19 MiB.
    wait_until(lambda: all(own_memory(pid) - before[pid] < 16_384 for pid in workers), "the memory given back")


def own_memory(pid: int) -> int:
    """KiB in memory that are no file's, those included that are shared since the fork."""
    text = Path(f"/proc/{pid}/smaps").read_text(encoding="ascii")
    return sum(int(size) for size in re.findall(r"^Anonymous: +(\d+) kB", text, re.MULTILINE))


# Secrets and names


def test_no_secret_reaches_the_log(service: Service) -> None:
    lines = len(request_lines(service))
    headers = basic("nobody", CANARY) | {
        "Cookie": f"a={CANARY}",
        "Referer": f"http://x/?{CANARY}",
        "User-Agent": CANARY,
    }
    paths = ("/api/api.php", "/mailclient/getlistmail", f"/mailclient/{CANARY}", "/healthz", "/metrics", f"/{CANARY}")
    for path in paths:
        for method in ("GET", "HEAD", "POST", "PUT"):
            reply = call(service, method, f"{path}?login=nobody&pass={CANARY}", headers=headers)
            assert CANARY.encode() not in reply.body
        subprocess.run(["curl", "-s", "-u", f"nobody:{CANARY}", f"{service.url}{path}?password={CANARY}"], check=True,
                       capture_output=True)  # fmt: skip
    assert len(request_lines(service)) - lines == 5 * len(paths)
    assert CANARY not in service.log.read_text() and CANARY not in service.printed.read_text()
    assert basic("nobody", CANARY)["Authorization"].split()[1] not in service.log.read_text()


def test_a_reply_has_the_name_of_its_log_line(shared: Service) -> None:
    replies = [call(shared, "GET", "/healthz"), call(shared, "PUT", "/api/api.php"), post(shared, OF_ALICE)]
    names = [reply.headers["X-Request-ID"] for reply in replies]
    assert len(set(names)) == 3
    assert [line["request_id"] for line in request_lines(shared)[-3:]] == names


# The throttle and the password cache, which all workers share


def is_refused(service: Service, secret: str, **headers: str) -> bool:
    """Whether alice's sign-in with this password is refused."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    reply = perform(service, "getlistmail", secret=secret, headers=sent)
    assert reply["error"] in (0, 1000)
    return bool(reply["error"])


def test_failures_at_one_worker_block_at_the_other_and_after_a_restart(service: Service) -> None:
    first, second = service.all_workers()
    with service.only(first):
        assert not is_refused(service, ALICE_SECRET)
    with service.only(second):
        for _ in range(5):
            assert is_refused(service, "wrong")
    for worker in (first, second):
        with service.only(worker):
            assert is_refused(service, ALICE_SECRET)
    assert not perform(service, "getlistmail", login="root", secret=ROOT_SECRET)["error"]
    assert service.stop() == 0
    with serving(service.data_dir) as again:
        assert is_refused(again, ALICE_SECRET)
        blocked = [line for line in again.log_lines() if line["logger"] == "mailsvc.sign_in"]
        assert [line["message"] for line in blocked] == ["sign-in blocked from 127.0.0.1"]


@pytest.mark.parametrize("change", [["passwd", "alice", "--password-stdin"], ["disable", "alice"]])
def test_a_change_of_a_user_is_known_to_every_worker_at_once(service: Service, change: list[str]) -> None:
    workers = service.all_workers()
    for worker in workers:
        with service.only(worker):
            assert not is_refused(service, ALICE_SECRET)
    command = [*MAILSVC, "user", *change]
    subprocess.run(command, env=service.environ, input=b"Another-1\n", check=True)
    for worker in workers:
        with service.only(worker):
            assert is_refused(service, ALICE_SECRET)
            assert is_refused(service, "Another-1") is (change[0] == "disable")


def test_without_a_trusted_proxy_its_header_counts_for_nothing(service: Service) -> None:
    for number in range(5):
        assert is_refused(service, "wrong", X_Forwarded_For=f"203.0.113.{number}")
    assert is_refused(service, ALICE_SECRET, X_Forwarded_For="203.0.113.99")
    assert {line["address"] for line in request_lines(service)} == {"127.0.0.1"}


def test_behind_a_trusted_proxy_the_last_address_counts(data_dir: Path) -> None:
    with serving(data_dir, {"TRUSTED_PROXIES": "1"}) as service:
        for number in range(5):
            # What the client itself wrote there is to the left of what the proxy adds.
            assert is_refused(service, "wrong", X_Forwarded_For=f"198.51.100.{number}, 203.0.113.7")
        assert is_refused(service, ALICE_SECRET, X_Forwarded_For="203.0.113.7")
        assert not is_refused(service, ALICE_SECRET, X_Forwarded_For="203.0.113.7, 203.0.113.8")
        named = call(service, "GET", "/healthz", headers={"X-Request-ID": "from-the-proxy"})
        assert named.headers["X-Request-ID"] == "from-the-proxy"
        addresses = [line["address"] for line in request_lines(service) if line["dialect"] == "brainycp"]
        assert addresses == ["203.0.113.7"] * 6 + ["203.0.113.8"]
        failures = [line["message"] for line in service.log_lines() if line["logger"] == "mailsvc.sign_in"]
        assert failures == ["sign-in failed from 203.0.113.7"] * 5 + ["sign-in blocked from 203.0.113.7"]


def cookie_of_login(service: Service, headers: Mapping[str, str]) -> str:
    """The cookie of a login by JSON; it says whether the request is taken to have come over TLS."""
    body = json.dumps({"UserName": "alice", "Password": ALICE_SECRET}).encode()
    reply = call(service, "POST", "/api/login", body, {"Content-Type": "application/json", **headers})
    assert reply.status == 200, reply
    return reply.headers["Set-Cookie"]


def test_without_a_trusted_proxy_nobody_on_this_machine_is_taken_for_one(service: Service) -> None:
    for name, value in (("Proto", "https"), ("Protocol", "ssl"), ("Ssl", "on")):
        assert "Secure" not in cookie_of_login(service, {f"X-Forwarded-{name}": value})
    for name in ("SCRIPT_NAME", "PATH_INFO"):
        cookie_of_login(service, {name: "/api"})


def test_behind_a_trusted_proxy_its_scheme_alone_counts(data_dir: Path) -> None:
    with serving(data_dir, {"TRUSTED_PROXIES": "1"}) as service:
        for proto, is_secure in (("https", True), ("http", False), ("https, http", False)):
            # What a client makes up beside it is no reason to refuse the request either.
            for more in ({}, {"X-Forwarded-Ssl": "on"}, {"X-Forwarded-Ssl": "off"}):
                assert ("Secure" in cookie_of_login(service, {"X-Forwarded-Proto": proto, **more})) is is_secure


# Both workers at once


def test_of_fifty_callers_at_once_one_gets_the_address(service: Service) -> None:
    service.all_workers()
    with ThreadPoolExecutor(25) as pool:
        codes = [reply["error"] for reply in pool.map(lambda _: addmail(service, "same@example.com"), range(50))]
    assert sorted(codes) == [0] + [1] * 49
    assert mailboxes(service) == {"old@example.com", "same@example.com"}


def test_switches_at_once_are_done_once(service: Service) -> None:
    service.all_workers()
    for operation in ("ondkim", "offdkim"):
        with ThreadPoolExecutor(8) as pool:
            replies = pool.map(lambda name: perform(service, name, domain="example.com"), [operation] * 8)
        assert sorted(reply["error"] for reply in replies) == [0] + [3] * 7
