"""How log lines look: JSON for machines, or one readable line for a terminal. To standard error, nowhere else."""

import json
import logging
import re
import sys
from datetime import UTC, datetime

import orjson


class JsonLines(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": _moment(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line, default=str).decode()
        except orjson.JSONEncodeError:
            # Half a character, which is no text and yet within a traceback.
            return json.dumps(line, default=str)


class TextLines(logging.Formatter):
    """One line to read, a traceback below it."""

    def format(self, record: logging.LogRecord) -> str:
        facts = "".join(f" {name}={_value(value)}" for name, value in getattr(record, "facts", {}).items())
        line = f"{_moment(record)} {record.levelname.lower():7} {record.name}: {record.getMessage()}{facts}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _value(value: object) -> str:
    # Quoted where it could be taken for more than a value: what callers sent must not look like a line of ours.
    text = str(value)
    return text if re.fullmatch(r"[\w.@:+/-]*", text) else json.dumps(text, ensure_ascii=False)


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def set_up(log_format: str | None, level: int = logging.INFO) -> None:
    """Send every log line to standard error in ``log_format`` (None: text on a terminal, else JSON)."""
    chosen = log_format or ("text" if sys.stderr.isatty() else "json")
    handler = logging.StreamHandler()
    handler.setFormatter(TextLines() if chosen == "text" else JsonLines())
    # What a record would hold of the process and the thread, and no format shows.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Its every step, at a level that others keep for what an administrator should know.
    logging.getLogger("alembic").setLevel(logging.WARNING)
