"""Configuration files from templates: written as a tree, or compared with one that was written before."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import jinja2

from mailsvc.mailhost.layout import PLACES, CannotRender, Layout

TEMPLATES = Path(__file__).with_name("templates")

RECORD = "places.json"
"""What was asked for when the tree was last written, so that it need not be asked for again."""

FILE_MODE = 0o644
"""Postfix reads its maps as its own user. There is no secret in these files."""

DIRECTORY_MODE = 0o755


def recorded(directory: Path) -> Mapping[str, str]:
    """The places that the tree in ``directory`` was written with, other than Debian's.

    Raises CannotRender when its record is not one, OSError when it cannot be read.
    """
    path = directory / RECORD
    try:
        places = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        places = None
    if not isinstance(places, dict) or not all(isinstance(value, str) for value in places.values()):
        raise CannotRender(f"{path} is not a JSON object of texts")
    if unknown := places.keys() - set(PLACES):
        raise CannotRender(f"{path}: there is no {min(unknown)}")
    return places


def rendered(layout: Layout, places: Mapping[str, str]) -> dict[str, str]:
    """The text of every file, by its path in the tree (``postfix/main.cf``). ``places`` go on record."""
    environment = jinja2.Environment(  # noqa: S701 - no markup: Layout has refused whatever would need quoting
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    values = asdict(layout)
    texts = {name: environment.get_template(name).render(values) for name in environment.list_templates()}
    return texts | {RECORD: json.dumps(dict(places), indent=2, sort_keys=True) + "\n"}


def write(directory: Path, texts: Mapping[str, str]) -> list[Path]:
    """Write every file below ``directory``, each as a whole or not at all. Gives their paths."""
    for name, text in texts.items():
        path = directory / name
        _make_directories(path.parent)
        _replace(path, text)
    return [directory / name for name in texts]


def differences(directory: Path, texts: Mapping[str, str]) -> Iterator[str]:
    """A line for each file below ``directory`` that is not what would be written there."""
    for name, text in texts.items():
        path = directory / name
        try:
            found = path.read_bytes()
        except FileNotFoundError:
            yield f"{path} is missing"
            continue
        if found != text.encode():
            yield f"{path} differs"


def _make_directories(path: Path) -> None:
    if not path.is_dir():
        _make_directories(path.parent)
        path.mkdir()
        path.chmod(DIRECTORY_MODE)


def _replace(path: Path, text: str) -> None:
    """A server that reads the file meanwhile sees the old text or the new one."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(descriptor)
    beside = Path(name)
    try:
        beside.write_text(text, encoding="utf-8")
        beside.chmod(FILE_MODE)
        beside.replace(path)
    except BaseException:
        beside.unlink()
        raise
