"""Which Authentication-Results headers pretend to be ours."""

import pytest

from mailsvc.milter.results import forged


@pytest.mark.parametrize(
    "value",
    [
        b" mail.server.test; dkim=pass header.d=example.org",
        b"mail.server.test;none",
        b" Mail.Server.TEST 1;\n spf=pass",
        b" (by (me)) mail.server.test (really) ; spf=pass",
        b' "mail.server.test" ; spf=pass',
        b" mail.server.test.; spf=pass",
        b" spf=pass",
        b"",
        b" (no end mail.server.test; x",
        b"(" * 50_000 + b")" * 50_000 + b"mail.server.test; x",
        b"1" * 100_000,
        b"x" + b" " * 100_000,
    ],
)
def test_ours_and_those_that_nobody_can_tell_must_go(value: bytes) -> None:
    assert list(forged([(b"Authentication-Results", value)], "mail.server.test")) == [1]


@pytest.mark.parametrize("value", [b" elsewhere.test; spf=pass", b" xmail.server.test; x", b" server.test 1; x"])
def test_those_of_others_stay(value: bytes) -> None:
    assert list(forged([(b"Authentication-Results", value)], "mail.server.test")) == []


def test_they_are_counted_among_themselves() -> None:
    ours, other = b" mail.server.test; x", b" elsewhere.test; x"
    headers = [(b"From", ours), (b"authentication-RESULTS ", other), (b"Authentication-Results", ours), (b"X", b"y"),
               (b"AUTHENTICATION-RESULTS", ours)]  # fmt: skip
    assert list(forged(headers, "mail.server.test")) == [2, 3]
