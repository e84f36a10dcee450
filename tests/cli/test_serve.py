"""``serve`` when it refuses before it listens. What it does otherwise: tests/service."""

from pathlib import Path

import pytest

from tests.cli.command_line import CommandLine

CANARY = "Canary-88d0"

WRONG: list[tuple[dict[str, str], str]] = [
    ({"WORKERS": "none"}, "MAILSVC_WORKERS"),
    ({"SPF": "v=spf2"}, "MAILSVC_SPF"),
    ({"BIND": "8002"}, "MAILSVC_BIND"),
    ({"LOG_FORMAT": "xml"}, "MAILSVC_LOG_FORMAT"),
    ({"ROOT_PASSWORD_FILE": "/no/such/file"}, "MAILSVC_ROOT_PASSWORD_FILE"),
    ({"ROOT_PASSWORD": CANARY, "ROOT_PASSWORD_FILE": "/dev/null"}, "MAILSVC_ROOT_PASSWORD"),
    ({"ROOT_PASSWORD": CANARY + "x" * 256}, "MAILSVC_ROOT_PASSWORD"),
    ({"ROOT_PASSWORD": f"{CANARY}\nsecond line"}, "MAILSVC_ROOT_PASSWORD"),
    ({"DATABASE_URL": f"mysql://u:{CANARY}@host/name"}, "MAILSVC_DATABASE_URL"),
    ({"DATABASE_URL": f"postgresql+psycopg://u:{CANARY}@host:port/name"}, "MAILSVC_DATABASE_URL"),
    ({"DNS": "rfc2136"}, "MAILSVC_RFC2136_SERVER"),
]


@pytest.mark.parametrize(("settings", "name"), WRONG)
def test_a_wrong_setting_is_named_and_nothing_is_made(
    nowhere: CommandLine, settings: dict[str, str], name: str
) -> None:
    line = nowhere.with_settings(**settings)("serve").refusal
    assert line.startswith(name)
    assert CANARY not in line
    assert not Path(nowhere.environ["MAILSVC_DATA_DIR"]).exists()


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_data_directory_that_is_a_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"content")
    line = CommandLine({"MAILSVC_DATA_DIR": str(tmp_path / name)})("serve").refusal
    assert line.startswith(f"cannot write the data directory {tmp_path / name}: ")
    assert (tmp_path / "file").read_bytes() == b"content"
