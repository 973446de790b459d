"""The benchmark: trackd, MLflow's own server and FastTrackML on the same workloads, by the same client, in one run.

``python3 -m tests.bench`` prints DESIGN.md's table "Speed and size, as budgets" with one column per server;
``python3 -m tests.bench --quick`` measures trackd alone in under a minute. The map:

* ``workloads``  one row per workload: name, unit, budget, and the function that measures it
* ``runner``     which server runs when, what it is given first, and the rows it then answers
* ``servers``    how each server is started (trackd, mlflow, fasttrackml, the floor); environments on demand
* ``process``    start, first answer, memory from ``/proc``, stop by process group
* ``load``       the load generator, in a process of its own: one thread, one selector, raw sockets
* ``data``       the runs that are searched and the requests that are sent
* ``folder``, ``database``  put those runs on disk: MLflow's folder layout, MLflow's and FastTrackML's tables
* ``floor``      trackd's web server with canned answers and no store: what no store can beat here
* ``pages``, ``pages_browser``  what a Chromium shows, and how fast; the latter runs where Playwright is
* ``report``     the table, as text, Markdown and JSON
"""
