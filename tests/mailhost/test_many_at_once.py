"""A thousand mailboxes are made while mail flows, and no server trips over a look-up."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.mailhost.host import SENDER, Host

MAILBOXES = 1000
CALLERS = 4
CHECKED = 20
"""Every so many, the new mailbox is asked for at once."""


def test_a_thousand_mailboxes_are_made_while_mail_flows(host: Host) -> None:
    host.command("domain add many.example --owner alice")
    host.add("flow@many.example")
    done = threading.Event()

    def make(number: int) -> None:
        address = f"box{number}@many.example"
        host.add(address)
        if number % CHECKED == 0:
            assert host.recipient(address)[0] == 250
            assert host.recipient(f"not{number}@many.example")[0] == 550

    def flow() -> int:
        sent = 0
        with host.smtp() as connection:
            while not done.is_set():
                connection.sendmail(SENDER, ["flow@many.example"], f"Subject: {sent}\r\n\r\nHello\r\n")
                sent += 1
                time.sleep(0.05)
        return sent

    with ThreadPoolExecutor(CALLERS + 1) as pool:
        flowing = pool.submit(flow)
        try:
            list(pool.map(make, range(MAILBOXES)))
        finally:
            done.set()
        sent = flowing.result()

    host.wait_for_delivery()
    assert sorted(map(int, host.inbox("flow@many.example"))) == list(range(sent))
    listed = json.loads(host.command("mailbox list --domain many.example --json"))
    assert len(listed) == MAILBOXES + 1
    assert host.lets_in(f"box{MAILBOXES - 1}@many.example")
