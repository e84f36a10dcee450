"""Workers that are killed where a test says: each is a fork of a process that has loaded everything already.

Run as a program it reads lines ``STEP COUNT`` and lets a worker make one visit of each account, until STEP comes up for
the COUNT-th time, where the worker kills itself as nothing can be caught: SIGKILL. It answers each line with the exit
status (-9), or 0 if the visits came to their end.
"""

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import config

STEPS = (
    "before_fetch",
    "after_fetch",
    "amid_handing_in",
    "after_acceptance",
    "before_recording",
    "after_recording",
    "after_commit",
)
"""In the order of a visit."""

WINDOW = frozenset({"after_acceptance", "before_recording", "after_recording"})
"""The contract's window: the message was accepted, and is not recorded."""


@dataclass(frozen=True, slots=True)
class Workers:
    """The running program."""

    process: subprocess.Popen[str]

    def visit(self, step: str, count: int = 1) -> int:
        """Let a worker make its visits; gives its exit status."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{step} {count}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@contextmanager
def workers(environ: Mapping[str, str]) -> Iterator[Workers]:
    """The program, with these settings (whole names)."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.collector.doomed"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=config.ROOT,
        env={"PATH": os.environ["PATH"], **environ},
    ) as process:
        yield Workers(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(60)


def _kill_at(count: int) -> Callable[..., None]:
    left = [count]

    def step(last_act: Callable[[], object] = lambda: None) -> None:
        left[0] -= 1
        if not left[0]:
            last_act()
            os.kill(os.getpid(), signal.SIGKILL)

    return step


def _arm(name: str, count: int) -> None:
    from mailsvc.courier.handover import Handover
    from mailsvc.courier.imap import ImapSession
    from mailsvc.courier.pop3 import Pop3Session
    from mailsvc.services import collection, remembered_mail

    visit: Any = collection._Visit
    step = _kill_at(count)

    def before(owner: Any, method: str) -> None:
        plain = getattr(owner, method)

        def stepping(*arguments: Any, **more: Any) -> Any:
            step()
            return plain(*arguments, **more)

        setattr(owner, method, stepping)

    def after(owner: Any, method: str) -> None:
        plain = getattr(owner, method)

        def stepping(*arguments: Any, **more: Any) -> Any:
            result = plain(*arguments, **more)
            step()
            return result

        setattr(owner, method, stepping)

    if name == "before_fetch":
        before(ImapSession, "small")
        before(Pop3Session, "message")
    elif name == "after_fetch":
        before(visit, "_delivered")
    elif name == "amid_handing_in":
        plain = Handover._write

        def writing(self: Any, data: bytes) -> None:
            step(lambda: self._client.sock.sendall(data[: len(data) * 2 // 3]))
            plain(self, data)

        Handover._write = writing  # type: ignore[method-assign]
    elif name == "after_acceptance":
        after(Handover, "deliver")
    elif name == "before_recording":
        before(visit, "_record")
    elif name == "after_recording":
        after(remembered_mail, "record")
    elif name == "after_commit":
        after(visit, "_collect")


def _visits(step: str, count: int) -> None:
    from mailsvc.cli.session import opened
    from mailsvc.collector.worker import AT_ONCE, Worker

    if step in STEPS:
        _arm(step, count)
    with opened(threads=AT_ONCE + 2) as ports:
        delivery = ports.settings.local_delivery
        assert delivery is not None
        Worker(ports, delivery).run_once()


def main() -> None:
    """Fork a worker for each line."""
    import mailsvc.cli  # noqa: F401 - loaded once for all forks

    for line in sys.stdin:
        step, count = line.split()
        child = os.fork()
        if child == 0:
            try:
                _visits(step, int(count))
                os._exit(0)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
