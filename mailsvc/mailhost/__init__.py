"""The mail servers' side of the house: where mail lies on disk, and the configuration that reads this database."""
