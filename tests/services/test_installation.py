"""Secrets of the installation: the same for all, made once, and made anew only when they do not open."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.fernet import Fernet

import config
from mailsvc.app import create_app
from mailsvc.services import installation, secrets
from mailsvc.services.ports import Ports
from mailsvc.vault.seals import CannotOpen
from tests.application import act


def test_it_is_made_once(ports: Ports, settings: config.Settings) -> None:
    assert installation.secret(ports, "a") is None
    with ThreadPoolExecutor(4) as pool:
        made = set(pool.map(lambda _: installation.made_secret(ports, "a"), range(8)))
    assert len(made) == 1 and len(made.pop()) == installation.SECRET_BYTES
    other = create_app(settings).extensions["mailsvc"]
    assert installation.secret(other, "a") == installation.made_secret(ports, "a")
    assert installation.made_secret(ports, "b") != installation.made_secret(ports, "a")
    other.store.close()


def test_a_new_sealing_key_leaves_it_as_it_is(ports: Ports) -> None:
    before = installation.made_secret(ports, "a")
    for _ in range(3):
        secrets.rotate(ports, act())
    assert installation.made_secret(ports, "a") == before


def test_one_that_does_not_open_is_replaced(ports: Ports, settings: config.Settings) -> None:
    before = installation.made_secret(ports, "a")
    settings.key_file.write_bytes(Fernet.generate_key())
    assert installation.secret(ports, "a") is None
    after = installation.made_secret(ports, "a")
    assert after != before and installation.made_secret(ports, "a") == after


def test_without_a_key_file_there_is_none(ports: Ports, settings: config.Settings) -> None:
    settings.key_file.unlink()
    assert installation.secret(ports, "a") is None
    with pytest.raises(CannotOpen):
        installation.made_secret(ports, "a")
