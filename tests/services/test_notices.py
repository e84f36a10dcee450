"""mailsvc's own mail goes out through the settings that it keeps for others."""

from contextlib import ExitStack
from dataclasses import replace
from email import message_from_bytes

import pytest

from mailsvc.core.smtp_profile import INSTALLATION, PORTAL, SmtpProfile
from mailsvc.courier.routes import SendFailed, Why
from mailsvc.services import notices, scope, smtp_profiles
from mailsvc.services.ports import Ports
from tests.application import act
from tests.servers.smtp import Sane, Scripted, scripted


def keep(ports: Ports, name: str, profile: SmtpProfile, password: str | None = None) -> None:
    """Store a profile for a scope, or for a domain by its name."""
    if name in (INSTALLATION, PORTAL):
        smtp_profiles.change(ports, act(), name, lambda _: profile, password, subject=name)
        return
    with ports.store.writing() as unit:
        number = scope.domain(unit, act().acting, name).id
        smtp_profiles.write(unit, smtp_profiles.scope_of_domain(number), lambda _: profile, None, domain_id=number)


def leading_to(server: Scripted, sender: str = "") -> SmtpProfile:
    return SmtpProfile(host="127.0.0.1", port=server.port, sender=sender)


def send(ports: Ports, domain: str | None = None) -> None:
    notices.send(ports, recipients=["root@b.example"], subject="Notice", text="Something happened.\n", domain=domain)


def test_domain_portal_installation_local(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("example.com", PORTAL, INSTALLATION, "local")
    sanes = {name: Sane() for name in names}
    with ExitStack() as stack:
        servers = {name: stack.enter_context(scripted(sane)) for name, sane in sanes.items()}
        monkeypatch.setattr(notices, "LOCAL", replace(notices.LOCAL, port=servers["local"].port))

        def went_to(domain: str | None) -> str:
            before = {name: len(sane.received) for name, sane in sanes.items()}
            send(ports, domain)
            (name,) = [name for name, sane in sanes.items() if len(sane.received) > before[name]]
            return name

        assert went_to("example.com") == went_to(None) == "local"
        keep(ports, INSTALLATION, leading_to(servers[INSTALLATION]))
        assert went_to("example.com") == went_to(None) == INSTALLATION
        keep(ports, PORTAL, leading_to(servers[PORTAL]))
        assert went_to("example.com") == went_to(None) == PORTAL
        keep(ports, "example.com", leading_to(servers["example.com"]))
        assert went_to("example.com") == "example.com"
        assert went_to(None) == went_to("bob.test") == went_to("nowhere.test") == PORTAL
        keep(ports, PORTAL, SmtpProfile(port=1, sender="a@b.example"))
        assert went_to(None) == INSTALLATION, "a profile without host is none"


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_in_whose_name(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    sane = Sane()
    with scripted(sane) as server:
        monkeypatch.setattr(notices, "LOCAL", leading_to(server))
        send(ports)
        send(ports, "example.com")
        keep(ports, INSTALLATION, leading_to(server, "Panel <panel@example.com>"))
        send(ports)
        keep(ports, INSTALLATION, leading_to(server, "string"))
        send(ports)
    assert [received.sender for received in sane.received] == [
        "postmaster@mail.server.test", "postmaster@example.com", "panel@example.com", "postmaster@mail.server.test",
    ]  # fmt: skip
    message = message_from_bytes(sane.received[2].content)
    assert (message["Subject"], message["From"], message["Auto-Submitted"]) == (
        "Notice", "Panel <panel@example.com>", "auto-generated",
    )  # fmt: skip


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_with_the_profile_s_password(ports: Ports) -> None:
    sane = Sane(mechanisms=["LOGIN"], users={"panel": "secret"})
    with scripted(sane) as server:
        keep(ports, INSTALLATION, replace(leading_to(server), username="panel"), "secret")
        send(ports)
        keep(ports, INSTALLATION, replace(leading_to(server), username="panel"), "wrong")
        with pytest.raises(SendFailed) as caught:
            send(ports)
    assert caught.value.why is Why.LOGIN_REFUSED
    assert [received.user for received in sane.received] == ["panel"]
