"""Keeps the collecting worker running beside the web processes, for as long as these live.

``python -m mailsvc.keeper PARENT``: a process of its own, so small that it will not fall over, which starts the worker
again when that ends, and ends it when PARENT, its own parent process, is gone or when it is told to.
"""

import os
import select
import signal
import subprocess
import sys
import time

TURN_SECONDS = 1.0

END_SECONDS = 30.0
"""What the worker may take to end before it is killed: it lets messages under way arrive."""

SHORTEST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""Seconds before the worker is started again; each is twice the one before unless it ran for LONGEST_PAUSE."""


class Keeper:
    """Keeps ``command`` running while ``parent`` is the parent process. The command is told our process number."""

    def __init__(self, command: list[str], parent: int) -> None:
        self._command = [*command, "--parent", str(os.getpid())]
        self._parent = parent
        self._told = False
        self._signals, woken = os.pipe()
        os.set_blocking(self._signals, False)
        os.set_blocking(woken, False)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def run(self) -> None:
        """Returns when there is nothing to be kept any more."""
        pause = SHORTEST_PAUSE
        while self._is_wanted():
            begun = time.monotonic()
            status = self._run_once()
            if not self._is_wanted():
                return
            pause = SHORTEST_PAUSE if time.monotonic() - begun > LONGEST_PAUSE else pause
            sys.stderr.write(f"mailsvc: the collecting worker ended ({status}), starts again in {pause:.0f} s\n")
            deadline = time.monotonic() + pause
            while self._is_wanted() and time.monotonic() < deadline:
                self._wait()
            pause = min(2 * pause, LONGEST_PAUSE)

    def _is_wanted(self) -> bool:
        return not self._told and os.getppid() == self._parent

    def _end(self, *_: object) -> None:
        self._told = True

    def _run_once(self) -> int:
        with subprocess.Popen(self._command, stdin=subprocess.DEVNULL) as child:
            while child.poll() is None:
                if not self._is_wanted():
                    child.terminate()
                    try:
                        return child.wait(END_SECONDS)
                    except subprocess.TimeoutExpired:
                        child.kill()
                self._wait()
            return child.returncode

    def _wait(self) -> None:
        """Until a signal comes, but not for long: nobody tells a process that its parent is gone."""
        if select.select([self._signals], [], [], TURN_SECONDS)[0]:
            os.read(self._signals, 4096)


def main() -> None:
    """Keep the worker."""
    Keeper([sys.executable, "-m", "mailsvc", "collect"], int(sys.argv[1])).run()


if __name__ == "__main__":
    main()
