"""Workers killed by SIGKILL at every step of a visit, over and over: nothing is lost, and only what was accepted and
not recorded comes again, with the same key."""

from collections import Counter

import pytest

from mailsvc.core.mail_accounts import IMAP, POP3
from tests.collector.doomed import STEPS, WINDOW, workers
from tests.services.callers import found
from tests.services.collecting import Stage, keys, message, new_user, subjects

ROUNDS = 8


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize("protocol", [IMAP, POP3])
def test_nothing_is_lost_and_nothing_comes_twice_but_in_the_window(staged: Stage, protocol: str) -> None:
    user = new_user()
    account = staged.save(user, protocol)
    staged.ports.store.close()
    names: list[str] = []
    kills: Counter[str] = Counter()
    with workers(_settings(staged)) as doomed:
        for round_ in range(ROUNDS):
            for step in STEPS:
                for _ in range(2):
                    names.append(f"{len(names):03}")
                    staged.foreign.put(user, message(names[-1]), names[-1])
                # Now and then only at the second message.
                status = doomed.visit(step, 1 + (round_ % 2 if step != "before_fetch" else 0))
                assert status in (-9, 0)
                kills[step] += status == -9
        assert doomed.visit("never") == 0
    arrived = staged.collected()
    twice = len(arrived) - len(set(keys(arrived)))
    assert sum(kills.values()) >= 50, kills
    assert all(kills[step] for step in STEPS), kills
    assert sorted(set(subjects(arrived))) == names
    assert len(set(keys(arrived))) == len(names)
    # One for each worker that was killed between acceptance and the end of recording, and none beside.
    assert twice == sum(kills[step] for step in WINDOW)
    assert all(text.endswith(b"Hello.\n") for text in arrived)
    row = staged.row(account)
    assert (row["lease_holder"], row["last_error"], row["collected"]) == (None, None, len(names))
    assert found(staged.ports, "SELECT count(*) FROM collected_message") == [(len(names),)]


def _settings(staged: Stage) -> dict[str, str]:
    return {
        "MAILSVC_DATA_DIR": str(staged.ports.settings.data_dir),
        "MAILSVC_HOSTNAME": "mail.server.test",
        "MAILSVC_LOCAL_DELIVERY": f"lmtp://127.0.0.1:{staged.local.lmtp}",
        "MAILSVC_LOG_FORMAT": "text",
    }
