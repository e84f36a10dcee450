"""The vendor's own client, unchanged, against the running service (contract, section 7; checklist 29)."""

import importlib
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.application import ALICE_SECRET, ROOT_SECRET
from tests.servers import free_port
from tests.service.running import Service, serving, wait_until

Client = Any
"""What the vendor's package calls ApiClient; its thousand models are not worth a type checker's time."""


@pytest.fixture(scope="module")
def sdk() -> Any:
    """The vendor's package."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", 'Field name "copy" in "\\w+" shadows an attribute', UserWarning)
        return importlib.import_module("docspace_api_sdk")


@pytest.fixture(scope="module")
def service(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service that lets everybody test as often as he likes."""
    data_dir = shutil.copytree(sqlite_template, tmp_path_factory.mktemp("sdk") / "data")
    with serving(data_dir, {"DOCSPACE_TEST_LIMIT": "0"}) as running:
        yield running


class Sink:
    """Takes every message."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name
        self.envelopes.append(envelope)
        return "250 taken"


def _authenticate(_server: SMTP, _session: Session, _envelope: Envelope, _how: str, sent: Any) -> AuthResult:
    right = sent == LoginPassword(b"notify@example.com", b"{password}")
    return AuthResult(success=right, handled=False)


@contextmanager
def sink() -> Iterator[tuple[Sink, int]]:
    """An SMTP server, and its port."""
    taking, port = Sink(), free_port()
    controller = Controller(
        taking, hostname="127.0.0.1", port=port, authenticator=_authenticate, auth_require_tls=False
    )
    controller.start()
    try:
        yield taking, port
    finally:
        controller.stop()


@contextmanager
def client(sdk: Any, service: Service, **proof: Any) -> Iterator[Client]:
    """The vendor's client with what it proves itself by."""
    made = sdk.ApiClient(sdk.Configuration(host=service.url, **proof))
    try:
        yield made
    finally:
        made.rest_client.pool_manager.clear()


def log_in(sdk: Any, service: Service, name: str, password: str) -> str:
    """A token."""
    with client(sdk, service) as anonymous:
        dto = sdk.AuthRequestsDto(user_name=name, password=password)
        token: str = sdk.AuthenticationApi(anonymous).authenticate_me(dto).response.token
        return token


def by_bearer(sdk: Any, service: Service, name: str, password: str) -> dict[str, Any]:
    return {"access_token": log_in(sdk, service, name, password)}


def by_basic(sdk: Any, service: Service, name: str, password: str) -> dict[str, Any]:
    return {"username": name, "password": password}


def by_cookie(sdk: Any, service: Service, name: str, password: str) -> dict[str, Any]:
    return {"api_key": {"asc_auth_key": f"asc_auth_key={log_in(sdk, service, name, password)}"}}


PROOFS = [by_bearer, by_basic, by_cookie]


@pytest.mark.parametrize("proof", PROOFS)
def test_the_flow(sdk: Any, service: Service, proof: Callable[..., dict[str, Any]]) -> None:
    with sink() as (taken, port), client(sdk, service, **proof(sdk, service, "root", ROOT_SECRET)) as root:
        api = sdk.SMTPSettingsApi(root)
        saved = api.save_smtp_settings(
            sdk.SmtpSettingsDto(
                host="127.0.0.1",
                port=port,
                sender_address="notify@example.com",
                sender_display_name="Postman",
                credentials_user_name="notify@example.com",
                credentials_user_password="{password}",
                enable_auth=True,
            )
        ).response
        assert api.get_smtp_settings().response == saved
        assert (saved.host, saved.port, saved.sender_address) == ("127.0.0.1", port, "notify@example.com")
        assert (saved.credentials_user_name, saved.credentials_user_password) == ("notify@example.com", "")
        assert (saved.enable_auth, saved.enable_ssl, saved.is_default_settings) == (True, False, False)

        begun = api.test_smtp_settings().response
        assert begun.id and begun.error == ""
        status = None

        def has_ended() -> bool:
            nonlocal status
            status = api.get_smtp_operation_status().response
            return bool(status.completed)

        wait_until(has_ended, "the end of the test")
        assert status is not None
        assert (status.id, status.error, status.percents) == (begun.id, "", 100)
        (envelope,) = taken.envelopes
        assert (envelope.mail_from, envelope.rcpt_tos) == ("notify@example.com", ["notify@example.com"])
        assert b"\r\nFrom: Postman <notify@example.com>\r\n" in b"\r\n" + (envelope.original_content or b"")
        gone = api.get_smtp_operation_status()
        assert (gone.response, gone.count) == (None, 0)

        reset = api.reset_smtp_settings().response
        assert (reset.is_default_settings, reset.port) == (True, 25)
        long = sdk.SmtpSettingsDto.model_construct(host="a" * 256, port=25)
        with pytest.raises(sdk.exceptions.BadRequestException) as refusal:
            api.save_smtp_settings(long)
        assert "The field Host must be a string with a maximum length of 255." in refusal.value.body
        with pytest.raises(sdk.exceptions.BadRequestException) as refusal:
            api.save_smtp_settings(sdk.SmtpSettingsDto(host="h", sender_address="a@b"))
        assert "Value cannot be null. (Parameter 'senderDisplayName')" in refusal.value.body


def every_method(sdk: Any, api: Any) -> list[Callable[[], Any]]:
    """All five."""
    return [
        api.get_smtp_settings,
        lambda: api.save_smtp_settings(sdk.SmtpSettingsDto(host="h", sender_address="a@b", sender_display_name="")),
        api.reset_smtp_settings,
        api.test_smtp_settings,
        api.get_smtp_operation_status,
    ]


@pytest.mark.parametrize("proof", PROOFS)
def test_another_role(sdk: Any, service: Service, proof: Callable[..., dict[str, Any]]) -> None:
    with client(sdk, service, **proof(sdk, service, "alice", ALICE_SECRET)) as alice:
        for call in every_method(sdk, sdk.SMTPSettingsApi(alice)):
            with pytest.raises(sdk.exceptions.ForbiddenException):
                call()


def test_nobody(sdk: Any, service: Service) -> None:
    with client(sdk, service) as anonymous:
        for call in every_method(sdk, sdk.SMTPSettingsApi(anonymous)):
            with pytest.raises(sdk.exceptions.UnauthorizedException):
                call()
        assert sdk.AuthenticationApi(anonymous).get_is_authentificated().response is False
        with pytest.raises(sdk.exceptions.UnauthorizedException):
            log_in(sdk, service, "root", "wrong")


@pytest.mark.parametrize("header", ["Authorization", "Cookie"])
def test_logging_out(sdk: Any, service: Service, header: str) -> None:
    token = log_in(sdk, service, "root", ROOT_SECRET)
    # The package sends no credential with these calls by itself.
    proof = {header: f"asc_auth_key={token}" if header == "Cookie" else token}
    with client(sdk, service) as anonymous:
        api = sdk.AuthenticationApi(anonymous)
        assert api.logout().status_code == 200
        assert api.get_is_authentificated(_headers=dict(proof)).response is True
        assert api.logout(_headers=dict(proof)).count == 0
        assert api.get_is_authentificated(_headers=dict(proof)).response is False
