"""How things are kept: ``base`` is the contract, ``file`` MLflow's folder layout, ``sql`` its tables."""
