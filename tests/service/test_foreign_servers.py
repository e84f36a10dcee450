"""Requests that wait for a foreign server leave the threads to the others."""

import json
import shlex
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from mailsvc.services.outgoing import AT_ONCE
from tests.application import ROOT_SECRET
from tests.servers.smtp import Peer, scripted
from tests.service.calling import basic, call, mailboxes, perform
from tests.service.running import DEFAULTS, Service, serving, wait_until

HEADERS = {"Content-Type": "application/json", **basic("root", ROOT_SECRET)}


def settings_call(service: Service, name: str, **params: object) -> tuple[int, str]:
    """Status and body of the reply to one of the Dbvisit calls."""
    reply = call(service, "POST", f"/email-settings/{name}", json.dumps({"params": params}).encode(), HEADERS)
    return reply.status, reply.body.decode()


def test_one_thread_serves_others_while_many_wait(data_dir: Path) -> None:
    """A process with one thread: without a stand-in the first test message would be the only thing it does."""
    waiting: list[Peer] = []

    def silent(peer: Peer) -> None:
        waiting.append(peer)
        peer.wait_until_gone()

    with serving(data_dir, {**DEFAULTS, "WORKERS": "1", "THREADS": "1"}) as service, ExitStack() as stack:
        with scripted(silent) as server:
            settings_call(service, "edit", smtp_host="127.0.0.1", smtp_port=server.port, from_email="a@b.example")
            pool = stack.enter_context(ThreadPoolExecutor(AT_ONCE))
            tests = [pool.submit(settings_call, service, "test", to="c@d.example") for _ in range(AT_ONCE)]
            wait_until(lambda: len(waiting) == AT_ONCE, "every test message to wait for the silent server")
            for _ in range(3):
                assert mailboxes(service) == {"old@example.com"}
            status, body = settings_call(service, "test", to="c@d.example")
            assert status == 400
            assert "too many messages are being sent" in body or any(test.done() for test in tests)
        assert {test.result()[0] for test in tests} == {400}
        assert mailboxes(service) == {"old@example.com"}


def test_one_thread_serves_others_while_a_name_server_reloads(data_dir: Path, tmp_path: Path) -> None:
    begun, may_end = tmp_path / "begun", tmp_path / "may end"
    script = f"touch {shlex.quote(str(begun))}; until [ -e {shlex.quote(str(may_end))} ]; do sleep 0.01; done"
    reload = {"DNS": "zonefile", "ZONEFILE_RELOAD": shlex.join(["sh", "-c", script])}
    with serving(data_dir, {"WORKERS": "1", "THREADS": "1", **reload}) as service, ThreadPoolExecutor() as pool:
        switch = pool.submit(perform, service, "onspf", domain="example.com")
        wait_until(begun.exists, "the reload")
        assert mailboxes(service) == {"old@example.com"}
        assert not switch.done()
        may_end.touch()
        assert switch.result()["error"] == 0
