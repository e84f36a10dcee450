"""ondkim: the first call makes a key, and its public half is published."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_private_key

import config
from mailsvc.core.dns_records import TxtRecord
from mailsvc.services.dkim import seal_purpose
from mailsvc.services.ports import Ports
from tests.protocols.brainycp.panel import ON_SQLITE, Panel
from tests.protocols.brainycp.stored import rows, served

NAME = "mail._domainkey.example.com"


def published_key(ports: Ports) -> RSAPublicKey:
    """The key of the one DKIM record that the name server serves."""
    (content,) = served(ports, "dkim")
    value = TxtRecord.from_content("example.com", NAME, content, 300).value
    head, _, key = value.partition("p=")
    assert head == "v=DKIM1; k=rsa; "
    public = load_der_public_key(base64.b64decode(key, validate=True))
    assert isinstance(public, RSAPublicKey)
    return public


def test_the_published_key_is_the_public_half_of_the_sealed_one(alice: Panel, ports: Ports) -> None:
    assert alice.post("ondkim", domain="example.com")["error"] == 0
    ((sealed, selector),) = rows(ports, "SELECT private_key, selector FROM dkim_key")
    opened = ports.seals.open(seal_purpose("example.com", selector), bytes(sealed))
    private = load_pem_private_key(opened, password=None)
    assert isinstance(private, RSAPrivateKey)
    assert private.key_size == 2048
    assert private.public_key().public_numbers() == published_key(ports).public_numbers()


@ON_SQLITE
def test_where_and_how_it_is_served(alice: Panel, ports: Ports) -> None:
    assert alice.post("ondkim", domain="example.com")["error"] == 0
    served_here = rows(ports, "SELECT name, type, ttl FROM pdns_record WHERE name LIKE '%domainkey%' ORDER BY name")
    assert served_here == [("_domainkey.example.com", None, None), (NAME, "TXT", 300)]
    (content,) = served(ports, "dkim")
    assert [len(string) <= 255 for string in content.strip('"').split('" "')] == [True, True]


@ON_SQLITE
def test_each_domain_has_its_own_key(alice: Panel, bob: Panel, ports: Ports) -> None:
    assert alice.post("ondkim", domain="example.com")["error"] == 0
    assert bob.post("ondkim", domain="bob.test")["error"] == 0
    assert len({key for (key,) in rows(ports, "SELECT public_key FROM dkim_key")}) == 2


@ON_SQLITE
def test_no_private_key_lies_open(alice: Panel, settings: config.Settings) -> None:
    assert alice.post("ondkim", domain="example.com")["error"] == 0
    for file in settings.data_dir.iterdir():
        assert b"PRIVATE KEY" not in file.read_bytes(), file.name


@ON_SQLITE
def test_without_the_key_file_no_key_is_made(alice: Panel, ports: Ports, settings: config.Settings) -> None:
    kept = settings.key_file.read_bytes()
    settings.key_file.unlink()
    assert alice.says("ondkim", domain="example.com") == (2, "Error enabling dkim record for domain example.com")
    assert rows(ports, "SELECT * FROM dkim_key") == rows(ports, "SELECT * FROM dns_record") == []
    settings.key_file.write_bytes(kept)
    assert alice.says("ondkim", domain="example.com")[0] == 0


@ON_SQLITE
class TestAnotherSelector:
    @pytest.fixture
    def more_settings(self) -> dict[str, str]:
        return {"DKIM_SELECTOR": "s2026"}

    def test_the_record_is_named_by_the_selector(self, alice: Panel, ports: Ports) -> None:
        assert alice.post("ondkim", domain="example.com")["error"] == 0
        assert rows(ports, "SELECT name FROM pdns_record WHERE content LIKE '%DKIM1%'") == [
            ("s2026._domainkey.example.com",)
        ]
