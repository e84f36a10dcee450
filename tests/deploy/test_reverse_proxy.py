"""The site of nginx, run by nginx in front of the running service."""

import json
import shutil
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from urllib.parse import urlencode

import pytest

import config
from mailsvc.protocols import bodies
from tests.mailhost.arrangement import certify
from tests.servers import free_port, require
from tests.servers.process import Account, run_directory, running
from tests.service.running import LIMIT, Service, serving

SITE = config.ROOT / "deploy" / "nginx.conf"

MAIN = """
daemon off;
pid {directory}/pid;
error_log stderr;
events {{ }}
http {{
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {directory}/site.conf;
}}
"""


@dataclass(frozen=True, slots=True)
class Proxied:
    """The service, and nginx before it."""

    service: Service
    directory: Path
    tls: int
    plain: int

    def call(self, path: str, body: str = "", **headers: str) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers of an answer through TLS."""
        context = ssl.create_default_context(cafile=self.directory / "tls/fullchain.pem")
        connection = HTTPSConnection("127.0.0.1", self.tls, timeout=LIMIT, context=context)
        form = {"Content-Type": "application/x-www-form-urlencoded"} | headers
        connection.request("POST" if body else "GET", path, body or None, form if body else headers)
        reply = connection.getresponse()
        answer = reply.status, reply.read(), dict(reply.getheaders())
        connection.close()
        return answer


@pytest.fixture(scope="module")
def proxied(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """Both running."""
    nginx = require("nginx", "nginx-light")
    data = shutil.copytree(sqlite_template, tmp_path_factory.mktemp("proxied") / "data")
    with run_directory("nginx", Account.unprivileged("www-data")) as directory:
        tls, plain = free_port(), free_port()
        certify(directory / "tls")
        with serving(data, {"TRUSTED_PROXIES": "1", "LOG_FORMAT": "json"}) as service:
            (directory / "site.conf").write_text(site(directory, service.port, tls, plain))
            (directory / "nginx.conf").write_text(MAIN.format(directory=directory))
            arguments = [nginx, "-c", f"{directory}/nginx.conf", "-e", "stderr", "-p", str(directory)]
            proxied = Proxied(service, directory, tls, plain)
            with running(arguments, directory, lambda: answers(plain)):
                yield proxied


def site(directory: Path, service: int, tls: int, plain: int) -> str:
    """The site, with the ports and the certificate of this run."""
    text = SITE.read_text()
    for found, wanted in {
        "127.0.0.1:8002": f"127.0.0.1:{service}",
        "    listen [::]:80;\n": "",
        "    listen [::]:443 ssl http2;\n": "",
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443 ssl http2;": f"listen 127.0.0.1:{tls} ssl http2;",
        "/etc/letsencrypt/live/mail.example.net": f"{directory}/tls",
    }.items():
        assert found in text
        text = text.replace(found, wanted)
    return text


def answers(port: int) -> bool:
    """Whether nginx takes requests by now."""
    connection = HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 403
    except OSError:
        return False
    finally:
        connection.close()


def test_calls_go_through_with_the_address_of_the_client_and_no_other(proxied: Proxied) -> None:
    form = urlencode({"login": "nobody", "pass": "wrong", "module": "mailclient", "subdo": "addmail"})
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Request-Id": "forged"}
    status, body, _ = proxied.call("/api/api.php", form, **forged)
    assert status == 200 and json.loads(body)["error"] != 0
    lines = [line for line in proxied.service.log_lines() if "sign-in" in line["message"]]
    assert [line["message"] for line in lines] == ["sign-in failed from 127.0.0.1"]
    assert "203.0.113.9" not in proxied.service.log.read_text()
    assert "forged" not in proxied.service.log.read_text()


def test_what_is_too_long_is_refused_and_the_longest_is_not(proxied: Proxied) -> None:
    longest = "a=" + "x" * (bodies.BYTES - 2)
    assert proxied.call("/api/api.php", longest)[0] == 200
    assert proxied.call("/api/api.php", longest + "x")[0] == 413


def test_whoever_watches_does_so_on_this_machine(proxied: Proxied) -> None:
    assert proxied.call("/readyz")[0] == 200
    assert SITE.read_text().count("deny all;") == 1


def test_tls_is_demanded(proxied: Proxied) -> None:
    assert "max-age=" in proxied.call("/")[2]["Strict-Transport-Security"]
    assert answers(proxied.plain)
