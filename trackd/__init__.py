"""trackd: an MLflow-compatible tracking server in one file, on the standard library alone.

The map, from the top down (imports go down only; ``tests/test_layout.py`` holds it):

* ``cli``       the command line, built from ``config.SETTINGS``; ``commands/`` gc, copy and sync
* ``serving``   the life of the server process
* ``app``       ``App.handle(Request) -> Response``; the only place that catches errors
* ``sync/``     sends what was logged offline;  ``transfer/``  copies between folders, databases and servers
* ``api/``      one decorated function per endpoint, one file per resource; the rules
* ``store/``    how things are kept: ``file/`` is MLflow's folder layout, ``sql/`` its tables,
  ``base.py`` the contract between them and ``api/``
* ``artifacts/`` files, in a folder or S3; ``base.py`` is their contract
* ``garbage``   removes what was deleted, for good
* ``history/``  points of metrics as columns, and windows of them for charts
* ``web/``      sockets, limits, request and response, routes, Host and Origin checks
* ``search/``   filter text -> tree, order, page tokens; what a filter means
* ``fields``    request types with their limits and messages;  ``wire``  entity -> MLflow's JSON
* ``entities``, ``config``, ``errors``   fields only, settings as rows, one class per error code
* ``ui/``       the pages, plain ES modules;  ``client``  the client, which imports nothing of this package
* ``bundle``    the whole program as one file, ``trackd.pyz``
"""

__version__ = "0.1.0"

#: The MLflow release whose REST API this server speaks; what ``/version`` answers.
MLFLOW_VERSION = "3.17.2"
