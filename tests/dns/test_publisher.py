"""The choice of the back-end."""

import subprocess
import sys

import pytest

import config
from mailsvc.core.dns_records import TxtRecord
from mailsvc.dns import publisher
from mailsvc.dns.database import ServedViews
from mailsvc.dns.rfc2136 import DynamicUpdates
from mailsvc.dns.zonefile import ZoneFiles

KEY = {
    "MAILSVC_RFC2136_SERVER": "127.0.0.1",
    "MAILSVC_RFC2136_KEY_NAME": "update",
    "MAILSVC_RFC2136_KEY_SECRET": "c2VjcmV0",
}

PROGRAM = """
import sys
import config
from mailsvc.dns import publisher
publisher(config.load())
print("dns" in sys.modules)
"""


@pytest.mark.parametrize(
    ("environ", "back_end"),
    [
        ({}, ServedViews),
        ({"MAILSVC_DNS": "database"}, ServedViews),
        ({"MAILSVC_DNS": "zonefile"}, ZoneFiles),
        ({"MAILSVC_DNS": "rfc2136", **KEY}, DynamicUpdates),
    ],
)
def test_the_setting_names_the_back_end(environ: dict[str, str], back_end: type) -> None:
    assert type(publisher(config.load(environ))) is back_end


def test_what_the_views_show_needs_no_further_step() -> None:
    record = TxtRecord("example.com", "example.com", "v=spf1 -all")
    views = publisher(config.load({}))
    for change in (views.publish, views.withdraw, views.withdraw):
        change(record)


@pytest.mark.parametrize("dns", ["database", "zonefile", "rfc2136"])
def test_dnspython_is_not_in_memory_before_the_first_update(dns: str) -> None:
    environ = {**KEY, "MAILSVC_DNS": dns}
    printed = subprocess.check_output([sys.executable, "-c", PROGRAM], cwd=config.ROOT, env=environ)
    assert printed == b"False\n"
