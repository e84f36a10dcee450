"""SMTP profiles of every kind, for the laws that hold of all of them."""

from hypothesis import strategies as st

from mailsvc.core.smtp_profile import OPPORTUNISTIC, PLAIN, STARTTLS, TLS, SmtpProfile


def profiles(texts: st.SearchStrategy[str]) -> st.SearchStrategy[SmtpProfile]:
    """Profiles whose members are any of ``texts``; the ports that mean something of their own are frequent."""
    return st.builds(
        SmtpProfile,
        host=texts,
        port=st.integers(0, 65535) | st.sampled_from([0, 25, 465, 587]),
        security=st.sampled_from([PLAIN, OPPORTUNISTIC, STARTTLS, TLS]),
        verify=st.booleans(),
        username=texts,
        mechanism=st.none() | st.sampled_from(["PLAIN", "LOGIN", "CRAM-MD5"]),
        sender=texts,
        sender_name=texts,
        ehlo_name=texts,
    )
