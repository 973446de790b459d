"""The relational core, on MLflow's own tables: one file per resource, ``search`` builds every WHERE."""
