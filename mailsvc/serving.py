"""gunicorn's threaded worker and its log, made discreet."""

from typing import Any

from gunicorn import util
from gunicorn.glogging import Logger
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, ParseException
from gunicorn.workers.gthread import ThreadWorker

import config
from mailsvc.core.texts import cleaned
from mailsvc.observation import logs


class Log(Logger):
    """gunicorn's own messages, in the form of all other log lines."""

    def setup(self, cfg: Any) -> None:
        """Once at the start, and at every reload."""
        super().setup(cfg)
        logs.set_up(config.load().log_format)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


class Worker(ThreadWorker):
    """As gunicorn's, but what it could not read is neither logged nor sent back: a request line can hold a password."""

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer a request that never became one."""
        status, reason = _status_of(exc)
        address = cleaned(str(addr[0]), 64) if addr else "unix"
        if status == 500:
            self.log.error("a request from %s failed in the server", address, exc_info=exc)
        else:
            self.log.warning("refused a malformed request from %s: %s", address, type(exc).__name__)
        try:
            util.write_error(client, status, reason, "")
        except OSError:
            self.log.debug("the client of a refused request was gone")


def _status_of(error: BaseException) -> tuple[int, str]:
    if isinstance(error, LimitRequestLine):
        return 414, "URI Too Long"
    if isinstance(error, LimitRequestHeaders):
        return 431, "Request Header Fields Too Large"
    if isinstance(error, ParseException):
        return 400, "Bad Request"
    return 500, "Internal Server Error"
