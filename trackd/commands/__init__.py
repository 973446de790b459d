"""Commands that are more than a page of ``cli``: one file each, with ``run(words)``, which returns the exit code."""
