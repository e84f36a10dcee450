"""The laws of the lens: an idle write changes nothing, what was written is what is read, nothing finer is lost."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mailsvc.core.smtp_profile import PLAIN, STARTTLS, TLS, SmtpProfile
from mailsvc.protocols.docspace import lens
from mailsvc.protocols.docspace.lens import View
from tests.smtp_profiles import profiles

TEXTS = st.text(max_size=20)

PROFILES = profiles(TEXTS)

VIEWS = st.builds(
    View,
    host=TEXTS.filter(bool),
    port=st.integers(1, 65535) | st.sampled_from([25, 465, 587]),
    sender_address=TEXTS.filter(bool),
    sender_display_name=TEXTS,
    user_name=st.none() | TEXTS.filter(bool),
    enable_ssl=st.booleans(),
)


@given(PROFILES)
def test_an_idle_write_changes_nothing(profile: SmtpProfile) -> None:
    assert lens.put(profile, lens.get(profile)) == profile


@given(PROFILES, VIEWS)
def test_what_was_written_is_what_is_read(profile: SmtpProfile, view: View) -> None:
    assert lens.get(lens.put(profile, view)) == view


@given(PROFILES, VIEWS, VIEWS)
def test_the_last_write_counts(profile: SmtpProfile, first: View, second: View) -> None:
    twice = lens.put(lens.put(profile, first), second)
    assert lens.get(twice) == second


@given(PROFILES, VIEWS)
def test_what_the_wire_cannot_say_stays(profile: SmtpProfile, view: View) -> None:
    written = lens.put(profile, view)
    assert (written.verify, written.mechanism, written.ehlo_name) == (
        profile.verify,
        profile.mechanism,
        profile.ehlo_name,
    )
    same_line = replace(view, port=profile.dialled_port, enable_ssl=profile.security != PLAIN)
    assert lens.put(profile, same_line).security == profile.security


@given(VIEWS)
def test_ssl_is_tls_on_465_and_starttls_elsewhere(view: View) -> None:
    security = lens.put(SmtpProfile(), view).security
    assert security == (PLAIN if not view.enable_ssl else TLS if view.port == 465 else STARTTLS)


@given(VIEWS, st.booleans())
def test_the_password_is_never_shown(view: View, is_default: bool) -> None:
    assert lens.members(view, is_default=is_default)["credentialsUserPassword"] == ""
