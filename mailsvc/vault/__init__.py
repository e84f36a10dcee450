"""Passwords (hashed, never opened) and secrets (sealed, opened with the key file)."""
