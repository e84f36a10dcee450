"""SPF texts as receivers read them."""

import pytest

from mailsvc.core import spf
from mailsvc.core.spf import SpfError


def test_what_is_an_spf_record() -> None:
    assert all(map(spf.is_spf, ("v=spf1", "v=spf1 -all", "V=SPF1 mx")))
    assert not any(map(spf.is_spf, ("v=spf10 -all", "v=spf1mx", "spf2.0/pra", "", " v=spf1")))


def test_terms_are_read() -> None:
    read = spf.terms(
        "v=spf1  +a/24 mx:b.test//64 a:c.test/24//48 ?include:d.test ip4:192.0.2.0/24 ip6:2001:db8::1 ~all"
    )
    assert [(term.qualifier, term.name, term.target, term.prefixes) for term in read] == [
        ("+", "a", "", (24, 128)),
        ("+", "mx", "b.test", (32, 64)),
        ("+", "a", "c.test", (24, 48)),
        ("?", "include", "d.test", (32, 128)),
        ("+", "ip4", "", (32, 128)),
        ("+", "ip6", "", (32, 128)),
        ("~", "all", "", (32, 128)),
    ]
    assert [str(term.network) for term in read if term.network] == ["192.0.2.0/24", "2001:db8::1/128"]


def test_redirect_counts_only_where_there_is_no_all_and_other_modifiers_not_at_all() -> None:
    assert [term.name for term in spf.terms("v=spf1 redirect=b.test exp=c.test x-y=z")] == ["redirect"]
    assert [term.name for term in spf.terms("v=spf1 redirect=b.test -all")] == ["all"]


BAD = "mxx include include: exists all:b.test ip4 ip4:: ip6:192.0.2.1 ip4:192.0.2.1/33 a/33 mx//129 ptr/24 a/x ? b.test"


@pytest.mark.parametrize("word", BAD.split(" "))
def test_what_no_receiver_understands(word: str) -> None:
    with pytest.raises(SpfError, match="no receiver understands"):
        spf.terms(f"v=spf1 {word} -all")


def test_two_redirects_are_an_error() -> None:
    with pytest.raises(SpfError, match="more than one redirect"):
        spf.terms("v=spf1 redirect=a.test redirect=b.test")
