"""Pure values and rules: no database, no network, no framework."""
