"""The schema's history. Migrations never import the models: they must still run when the models have moved on."""
