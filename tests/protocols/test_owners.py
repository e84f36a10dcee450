"""Whose path it is."""

from flask import Blueprint
from werkzeug.wrappers import Response

from mailsvc import protocols


def test_a_dialect_may_own_its_paths_in_any_letter_case() -> None:
    def dialect(name: str, *prefixes: str, any_case: bool = False) -> protocols.Dialect:
        return protocols.Dialect(
            name, prefixes, lambda _: Blueprint(name, __name__), lambda _: Response(), any_case=any_case
        )

    owners = protocols.Owners([dialect("exact", "/api", "/api/v2/deep"), dialect("any", "/api/v2", any_case=True)])
    expected = {
        "/api": "exact", "/api/v3": "exact", "/API": None, "/api/v2": "any", "/Api/V2/x": "any", "/API/V2": "any",
        "/api/v2/deep": "exact", "/api/v2/DEEP": "any", "/API/V2x": None, "/api/v2x": "exact",
    }  # fmt: skip
    found = {path: owners.of(path) for path in expected}
    assert {path: owner and owner.name for path, owner in found.items()} == expected
