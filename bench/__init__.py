"""The measurements behind docs/performance.md. ``make bench`` runs them all; ``python -m bench PART...`` some of them.

Absolute figures move by a factor of two between machines and hours, so each promise is a ratio of two things measured
in turns within one run, wherever it can be one. Every part starts the real service on a new data directory and a free
port, and leaves nothing behind but a JSON file in ``bench/results``.
"""
