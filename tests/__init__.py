"""The tests; a package so that ``python3 -m tests`` and ``python3 -m tests.bench`` run from a checkout."""
