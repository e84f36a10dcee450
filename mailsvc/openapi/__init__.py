"""The service described by OpenAPI 3.1, made from the dialects' own tables, and a page to read it by."""
