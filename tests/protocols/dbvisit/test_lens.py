"""The laws of this wire's lens on an SMTP profile."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mailsvc.core.smtp_profile import PLAIN, STARTTLS, TLS, SmtpProfile
from mailsvc.protocols.dbvisit import lens
from mailsvc.protocols.dbvisit.schemas import ENCRYPTIONS, Edit
from tests.smtp_profiles import profiles

TEXTS = st.text(max_size=20)
PROFILES = profiles(TEXTS)
MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "allow_selfsigned_certs": st.booleans(),
    "encryption": st.sampled_from(ENCRYPTIONS),
    "from_email": TEXTS,
    "smtp_host": TEXTS,
    "smtp_port": st.integers(0, 65535),
    "username": TEXTS,
}
VIEWS = st.fixed_dictionaries({}, optional=MEMBERS)
UNKNOWN_HERE = ("mechanism", "sender_name", "ehlo_name")


@given(PROFILES)
def test_an_idle_write_changes_nothing(profile: SmtpProfile) -> None:
    assert lens.put(profile, lens.get(profile)) == profile
    assert lens.put(profile, {}) == profile


@given(PROFILES, VIEWS)
def test_what_was_written_is_what_is_read(profile: SmtpProfile, view: dict[str, Any]) -> None:
    assert lens.get(lens.put(profile, view)) == lens.get(profile) | view


@given(PROFILES, VIEWS, VIEWS)
def test_the_last_write_counts(profile: SmtpProfile, first: dict[str, Any], second: dict[str, Any]) -> None:
    twice, once = lens.put(lens.put(profile, first), second), lens.put(profile, first | second)
    assert lens.get(twice) == lens.get(once)


@given(PROFILES, VIEWS)
def test_what_has_no_member_here_is_never_destroyed(profile: SmtpProfile, view: dict[str, Any]) -> None:
    after = lens.put(profile, view)
    assert [getattr(after, name) for name in UNKNOWN_HERE] == [getattr(profile, name) for name in UNKNOWN_HERE]
    if view.get("encryption") in (None, lens.get(profile)["encryption"]):
        assert after.security == profile.security


def test_the_words_mean_what_the_contract_says() -> None:
    for word, security in (("Plain", PLAIN), ("StartTLS", STARTTLS), ("TLS", TLS)):
        assert (
            lens.put(SmtpProfile(security=TLS if word != "TLS" else PLAIN), {"encryption": word}).security == security
        )


def test_the_members_are_those_of_the_call_without_the_password() -> None:
    assert [*lens.get(SmtpProfile())] == [name for name in Edit().fields if name != "password"]
