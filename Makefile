# make run    serves; make test runs the whole suite. Both start from a fresh clone and are quick the second time.
# make lint   ruff and mypy; make bench the measurements of docs/performance.md
# PYTHON=python3.12 names another interpreter (3.11 or newer); PYTEST='-k word' and BENCH='...' are handed on.

PYTHON ?= python3
export PYTHON

.PHONY: run test lint bench runtime development

run: runtime
	@exec .venv/bin/python -m mailsvc serve

test: development
	-@scripts/test-servers
	@exec .venv/bin/python -m pytest $(PYTEST)

lint: development
	.venv/bin/python -m ruff check .
	.venv/bin/python -m mypy

bench: development
	-@scripts/apt-carefully wrk fetchmail getmail6 dovecot-core dovecot-imapd dovecot-pop3d dovecot-lmtpd
	@exec .venv/bin/python -m bench $(BENCH)

runtime:
	@scripts/virtual-environment requirements.txt

development:
	@scripts/virtual-environment requirements-dev.txt
