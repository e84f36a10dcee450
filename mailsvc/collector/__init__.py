"""The worker that collects external accounts: it looks for visits that are due, makes ten at a time, and waits for news
on the lines that servers keep open for it."""
