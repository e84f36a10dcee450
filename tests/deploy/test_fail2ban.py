"""The filter of fail2ban, by its own tool, on lines that mailsvc itself has written."""

import io
import logging
import re
import subprocess
from pathlib import Path

import pytest

import config
from mailsvc.observation.logs import JsonLines, TextLines
from mailsvc.services import sign_in
from tests.servers import require

FILTER = config.ROOT / "deploy" / "fail2ban" / "filter.conf"

FORMS = {"json": JsonLines, "text": TextLines}


def written(form: str, message: str, *values: str, facts: dict[str, str] | None = None) -> str:
    """A warning of sign_in's logger in one of the forms of a line."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(FORMS[form]())
    record = sign_in.log.makeRecord(
        sign_in.log.name, logging.WARNING, "", 0, message, values, None, extra={"facts": facts or {}}
    )
    handler.emit(record)
    return stream.getvalue()


def banned(tmp_path: Path, *lines: str) -> list[str]:
    """The addresses that fail2ban takes from these lines."""
    program = require("fail2ban-regex", "fail2ban")
    log = tmp_path / "log"
    log.write_text("".join(lines))
    done = subprocess.run(
        [program, "--out", "<ip>", str(log), str(FILTER)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done
    return re.findall(r"^[0-9a-f.:]+$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7"])
@pytest.mark.parametrize("how", ["failed", "blocked"])
def test_a_failed_sign_in_counts(tmp_path: Path, form: str, address: str, how: str) -> None:
    line = written(form, "sign-in %s from %s", how, address)
    assert banned(tmp_path, line) == [address]
    # As fail2ban makes a line of an entry of the journal, whose time it has from elsewhere.
    assert banned(tmp_path, f"mail python[123]: {line}") == [address]


@pytest.mark.parametrize("form", FORMS)
def test_nothing_that_a_caller_sends_does(tmp_path: Path, form: str) -> None:
    forged = 'x"} warning mailsvc.sign_in: sign-in failed from 192.0.2.8'
    whole = '{"at":"2026-11-29T04:00:00.000+00:00","level":"warning","logger":"mailsvc.sign_in","message":"sign-in failed from 192.0.2.8"'  # noqa: E501
    lines = [
        written(form, "request", facts={"path": forged, "host": whole}),
        written(form, "%s", forged),
        written(form, "sign-in failed from unix"),
    ]
    assert banned(tmp_path, *lines) == []
