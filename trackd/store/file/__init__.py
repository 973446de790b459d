"""MLflow's folder layout as a store, with a disposable index beside it."""
