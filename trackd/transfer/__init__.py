"""Copying everything from one place to another: a folder, a database, or a running server, MLflow's own included.

``sides`` says what a place must be able to do to be copied from or to; ``stores`` does that with a store of ours,
``servers`` over MLflow's REST API; ``runs`` and ``copy`` compare and write. Nothing is ever removed at the target, and
what is there already is not written again: so a copy can be broken off at any point and simply be repeated.
"""
