"""The Webitel dialect over HTTP: each line of its contract's acceptance list."""
