"""Hooks and fixtures of the whole suite."""

from tests.servers.closing_line import pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]
