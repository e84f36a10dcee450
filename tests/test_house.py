"""The house rules, read off the source: where imports point, what files are called, what is documented and pinned."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import config
from tests.service.running import environment

MODULES = sorted((config.ROOT / "mailsvc").rglob("*.py"))

LEVELS = {
    "core": 0,
    "store": 1,
    "vault": 2,
    "dns": 2,
    "courier": 2,
    "mailhost": 2,
    "services": 3,
    "collector": 4,
    "observation": 4,
    "milter": 4,
    "startup": 4,
    "doctor": 5,
    "protocols": 5,
    "cli": 6,
    "openapi": 6,
    "rehearsal": 6,
    "app": 7,
    "serving": 7,
    "keeper": 7,
    "__main__": 8,
}
"""Parts of mailsvc. A part imports those of lower levels and itself, never another part of its own level."""

MAY_KNOW = {part: {"core", "store"} for part in ("vault", "dns", "courier", "mailhost")}
"""Parts that are held to less than all lower levels."""

VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}


def name_of(path: Path) -> str:
    """The dotted name of a module of the checkout."""
    return ".".join(path.relative_to(config.ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """Every module that ``path`` imports, anywhere in it; ``from a import b`` gives ``a`` and ``a.b``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path}: a relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(module: str) -> str | None:
    """The part of mailsvc that ``module`` belongs to; None when it belongs to none."""
    names = module.split(".")
    return names[1] if names[0] == "mailsvc" and len(names) > 1 and names[1] in LEVELS else None


def test_every_module_belongs_to_a_part() -> None:
    assert {name_of(path) for path in MODULES if part_of(name_of(path)) is None} == {"mailsvc"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_one_way(path: Path) -> None:
    part = part_of(name_of(path))
    known = {other for module in imports(path) if (other := part_of(module)) is not None} - {part}
    if part is None:
        assert not known
    else:
        lower = {other for other, level in LEVELS.items() if level < LEVELS[part]}
        assert known <= MAY_KNOW.get(part, lower)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_protocol_knows_no_other_and_nobody_names_one(path: Path) -> None:
    own = name_of(path).split(".")[2:3] if part_of(name_of(path)) == "protocols" else []
    folders = {entry.name for entry in (config.ROOT / "mailsvc" / "protocols").iterdir() if entry.is_dir()}
    named = {match[1] for module in imports(path) if (match := re.match(r"mailsvc\.protocols\.(\w+)", module))}
    assert (named & folders) <= set(own)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_flask_sqlalchemy_is_known_to_the_store_alone(path: Path) -> None:
    inside = part_of(name_of(path)) == "store"
    assert inside or not [module for module in imports(path) if module.split(".")[0] == "flask_sqlalchemy"]


def test_names_of_files_say_what_is_in_them() -> None:
    folders = ("mailsvc", "tests", "migrations", "bench", "scripts", "docs")
    files = [*config.ROOT.glob("*"), *(path for folder in folders for path in (config.ROOT / folder).rglob("*"))]
    words = {path: set(re.split(r"[^a-z]+", path.name.lower())) for path in files if "__pycache__" not in path.parts}
    assert len(words) > len(MODULES)
    assert [path for path, names in words.items() if names & VAGUE] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_what_is_public_has_a_docstring(path: Path) -> None:
    module = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(module)
    definitions = (node for node in module.body if isinstance(node, ast.FunctionDef | ast.ClassDef))
    public = [node for node in definitions if not node.name.startswith("_")]
    assert [node.name for node in public if not ast.get_docstring(node)] == []


def pinned(file: str) -> dict[str, str]:
    """Names and versions of a requirements file, without the files it refers to."""
    lines = (config.ROOT / file).read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if line and not line.startswith(("#", "-r "))]
    matches = [re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[[a-z,]+\])?==([0-9][0-9A-Za-z.]*)", line) for line in wanted]
    assert all(matches), f"{file} has lines that pin nothing"
    return {canonical(match[1]): match[2] for match in matches if match}


def canonical(name: str) -> str:
    """The name of a distribution as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt"])
def test_what_is_pinned_is_installed(file: str) -> None:
    wanted = pinned(file)
    assert wanted
    assert {name: version(name) for name in wanted} == wanted


def test_what_they_bring_along_is_pinned_too() -> None:
    wanted = pinned("requirements.txt") | pinned("requirements-dev.txt")
    # An extra comes with its distribution, at the same version.
    wanted["psycopg-binary"] = wanted["psycopg"]
    needed = [Requirement(line) for name in wanted for line in requires(name) or ()]
    applicable = {canonical(one.name) for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})}
    assert applicable and applicable <= wanted.keys()


def test_wsgi_does_nothing_but_make_the_app() -> None:
    docstring, *statements = ast.parse((config.ROOT / "wsgi.py").read_text(encoding="utf-8")).body
    assert isinstance(docstring, ast.Expr)
    assert [ast.unparse(line) for line in statements] == ["from mailsvc.app import create_app", "app = create_app()"]


LOADED = "import sys, wsgi; print('\\n'.join(sys.modules))"

COSTLY = {
    *("alembic", "apispec", "dkim", "flask_migrate", "dns", "psycopg", "idna", "nacl", "hypothesis", "pytest"),
    *("imaplib", "poplib", "smtplib"),
}
"""What no worker needs before something unusual is asked of it."""


@pytest.mark.parametrize("back_end", ["database", "zonefile", "rfc2136"])
def test_the_app_does_without_costly_libraries(tmp_path: Path, back_end: str) -> None:
    key = {"RFC2136_SERVER": "127.0.0.1", "RFC2136_KEY_NAME": "update", "RFC2136_KEY_SECRET": "c2VjcmV0"}
    environ = environment(tmp_path, {"DNS": back_end, **key})
    loaded = subprocess.check_output([sys.executable, "-c", LOADED], env=environ, cwd=config.ROOT, text=True).split()
    assert "flask" in loaded and "mailsvc.protocols.brainycp" in loaded
    assert {name.split(".")[0] for name in loaded} & COSTLY == set()
    assert not {"cryptography.x509", "email.policy"}.intersection(loaded)
