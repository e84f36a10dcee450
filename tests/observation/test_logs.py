"""The two forms of log lines: JSON for machines, text for a terminal."""

import json
import logging
import os
import pty
import re
import subprocess
import sys

import config
from mailsvc.observation.logs import TextLines
from tests.observation.recording import Recording, recorded


def failure(formatter: logging.Formatter | None = None) -> Recording:
    """What is logged of an exception whose text has two lines."""
    with recorded(formatter) as log:
        try:
            raise ValueError("first line\nsecond line")
        except ValueError:
            logging.getLogger("mailsvc.test").exception("it failed")
    return log


def test_a_traceback_stays_with_its_line() -> None:
    (line,) = failure().parsed()
    assert line["message"] == "it failed" and line["traceback"].endswith("ValueError: first line\nsecond line")
    head, below, *_ = failure(TextLines()).lines()
    assert head.endswith("error   mailsvc.test: it failed") and below == "Traceback (most recent call last):"


SET_UP = """
import logging, sys
from mailsvc.observation import logs
logs.set_up(*sys.argv[1:] or [None])
logging.getLogger("mailsvc.test").info("two\\nlines, по-русски")
logging.getLogger("mailsvc.test").debug("details")
logging.getLogger("alembic.runtime").info("details")
"""


def written(*arguments: str) -> str:
    """What a program logs to a pipe after ``logs.set_up(*arguments)``."""
    program = [sys.executable, "-c", SET_UP, *arguments]
    return subprocess.run(program, cwd=config.ROOT, stderr=subprocess.PIPE, check=True, encoding="utf-8").stderr


def test_json_is_for_whoever_is_not_a_terminal() -> None:
    for text in (written(), written("json")):
        (line,) = text.splitlines()
        assert json.loads(line) | {"at": ""} == {
            "at": "", "level": "info", "logger": "mailsvc.test", "message": "two\nlines, по-русски",
        }  # fmt: skip
        assert "по-русски" in line


def test_text_can_be_asked_for() -> None:
    assert re.fullmatch(r"\d{4}-\S+ info    mailsvc\.test: two\nlines, по-русски\n", written("text"))


def test_text_is_for_a_terminal() -> None:
    ours, theirs = pty.openpty()
    try:
        subprocess.run([sys.executable, "-c", SET_UP], cwd=config.ROOT, stderr=theirs, check=True)
        shown = os.read(ours, 4096).decode()
    finally:
        os.close(theirs)
        os.close(ours)
    assert re.fullmatch(r"\d{4}-\S+ info    mailsvc\.test: two\r\nlines, по-русски\r\n", shown)
