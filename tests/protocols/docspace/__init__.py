"""Tests of the DocSpace dialect."""
