"""Hooks and fixtures of the whole suite."""

from tests.application import (
    app,
    client,
    engine,
    more_settings,
    ports,
    postgres_server,
    postgres_template,
    settings,
    sqlite_template,
)
from tests.servers.closing_line import pytest_terminal_summary

__all__ = [
    "app",
    "client",
    "engine",
    "more_settings",
    "ports",
    "postgres_server",
    "postgres_template",
    "pytest_terminal_summary",
    "settings",
    "sqlite_template",
]
