"""Rotation of DKIM keys through each back-end, as a resolver sees it on real name servers."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import pytest

from config import TcpAddress
from mailsvc.dns import publisher
from mailsvc.services import dkim, dkim_rotation, spf
from mailsvc.services.ports import Ports
from tests.application import act
from tests.servers.knot import NameServer, knot
from tests.servers.powerdns import powerdns
from tests.services.callers import found

pytestmark = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)

ZONE = "$ORIGIN example.com.\n$TTL 60\n@ SOA ns host 1 3600 600 604800 60\n@ NS ns\nns A 127.0.0.1\n"


def served_by_powerdns(ports: Ports, directory: Path, until: ExitStack) -> Ports:
    assert ports.settings.database_file
    server = until.enter_context(powerdns(ports.settings.database_file))
    return replace(ports, settings=replace(ports.settings, resolver=TcpAddress(server.host, server.port)))


def sent_to_knot(ports: Ports, directory: Path, until: ExitStack) -> Ports:
    server: NameServer = until.enter_context(knot({"example.com": ZONE}))
    address = TcpAddress(server.host, server.port)
    settings = replace(
        ports.settings,
        resolver=address,
        dns="rfc2136",
        rfc2136_server=address,
        rfc2136_key_name=server.key_name,
        rfc2136_key_secret=server.key_secret,
    )
    return replace(ports, settings=settings, dns=publisher(settings))


def written_for_knot(ports: Ports, directory: Path, until: ExitStack) -> Ports:
    include = directory / "example.com.zone"
    directory.mkdir()
    include.touch()
    server = until.enter_context(knot({"example.com": f'{ZONE}$INCLUDE "{include}"\n'}, updates=False))
    address = TcpAddress(server.host, server.port)
    settings = replace(
        ports.settings, resolver=address, dns="zonefile", zonefile_dir=directory, zonefile_reload=server.reload
    )
    return replace(ports, settings=settings, dns=publisher(settings))


BACK_ENDS: dict[str, Callable[[Ports, Path, ExitStack], Ports]] = {
    "database": served_by_powerdns,
    "rfc2136": sent_to_knot,
    "zonefile": written_for_knot,
}


@pytest.fixture(params=BACK_ENDS)
def ports(
    ports: Ports, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Ports]:
    """The ports with a back-end and a name server; no stage of a rotation lasts longer than it takes."""
    monkeypatch.setattr(dkim_rotation, "SETTLING", timedelta(0))
    monkeypatch.setattr(dkim_rotation, "GRACE", timedelta(0))
    with ExitStack() as until:
        yield BACK_ENDS[request.param](ports, tmp_path / "zones", until)


def seen(ports: Ports, selector: str) -> bool:
    """Whether the name server shows the key of ``selector``, once and as it is on file."""
    resolver = ports.settings.resolver
    assert resolver
    question = dns.message.make_query(f"{selector}._domainkey.example.com", "TXT", flags=0)
    answer = dns.query.tcp(question, resolver.host, port=resolver.port, timeout=10).answer
    keys = [key for (key,) in found(ports, "SELECT public_key FROM dkim_key WHERE selector = :name", name=selector)]
    shown = [b"".join(rdata.strings).decode() for rrset in answer for rdata in rrset]
    assert all(any(text.endswith(f"p={key}") for key in keys) for text in shown)
    return len(shown) == 1


def signing(ports: Ports) -> list[str]:
    return [selector for (selector,) in found(ports, "SELECT selector FROM dkim_signing_key ORDER BY selector")]


def stages(ports: Ports) -> list[str]:
    return [step.outcome for step in dkim_rotation.continue_all(ports, act("dkim rotate"))]


def test_a_rotation_is_seen_on_the_name_server(ports: Ports) -> None:
    spf.enable(ports, act(), domain="example.com")
    dkim.enable(ports, act(), domain="example.com")
    dkim_rotation.add(ports, act(), domain="example.com", algorithm="ed25519")
    assert stages(ports) == ["signs"]
    [ed25519, rsa] = sorted(signing(ports), reverse=True, key=lambda name: name.endswith("ed25519"))
    assert rsa == "mail" and seen(ports, rsa) and seen(ports, ed25519)

    dkim_rotation.rotate(ports, act(), domain="example.com")
    assert signing(ports) == sorted([rsa, ed25519])
    assert stages(ports) == ["signs", "signs"]
    new = signing(ports)
    assert len(new) == 2 and not set(new) & {rsa, ed25519}
    assert all(seen(ports, selector) for selector in (rsa, ed25519, *new))
    assert stages(ports) == ["withdrawn", "withdrawn"]
    assert [seen(ports, selector) for selector in (rsa, ed25519, *new)] == [False, False, True, True]

    dkim.disable(ports, act(), domain="example.com")
    assert signing(ports) == [] and not any(seen(ports, selector) for selector in new)
    dkim.enable(ports, act(), domain="example.com")
    assert signing(ports) == new and all(seen(ports, selector) for selector in new)
