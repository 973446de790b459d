"""The application: from a Request to a Response. The only place that catches errors.

Guard, route, arguments, endpoint, JSON. Our own errors become their status and MLflow's error body; what the system
says about disks and permissions becomes a code that clients do not repeat for minutes; anything else is a mistake of
ours: a traceback in the log, and a 500 that names only the request.
"""

import errno
import json
import logging
from typing import Any, Dict, List, Optional

from trackd import api, wire
from trackd.api import modes
from trackd.api.context import Context
from trackd.artifacts import Places
from trackd.binding import Binding
from trackd.config import Config
from trackd.errors import MethodNotAllowed, PermissionDenied, StorageFull, TrackdError
from trackd.silence import Silence
from trackd.store.base import Store
from trackd.web.guard import Guard
from trackd.web.message import Request, Response
from trackd.web.router import Route, Router

_log = logging.getLogger("trackd.app")

_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_FORBIDDEN = frozenset((errno.EACCES, errno.EROFS, errno.EPERM))


def routes() -> List[Route]:
    """Every route there is, without prefix and without the twins under ``/ajax-api``."""
    return api.routes()


class App:
    """Answers requests out of a store. One for all threads; everything about routes is worked out when it is made.

    ``registry``: where registered models are kept, if not in ``store``. ``places``: where artifacts are.
    """

    def __init__(
        self, store: Store, config: Config, registry: Optional[Store] = None, places: Optional[Places] = None
    ) -> None:
        self._store = store
        self._registry = registry
        self._places = places or Places(config)
        #: Told of each write to a run, where runs that fall silent are marked.
        marks = config.fail_silent_runs if not config.artifacts_only else None
        self.silence: Optional[Silence] = Silence(store, marks) if marks else None
        self._config = config
        self._router = Router(routes(), config.static_prefix)
        self._bindings: Dict[Route, Binding] = {each: Binding(each) for each in self._router.routes}
        self._off = {each: off for each in self._router.routes for off in (modes.off(each, config),) if off is not None}
        self._guard = Guard(
            config.static_prefix,
            config.allowed_hosts,
            config.cors_allowed_origins,
            config.x_frame_options,
            config.disable_security_middleware,
        )

    def streams(self, method: str, path: str) -> bool:
        """Whether the endpoint reads the body itself, so that the server must not collect it."""
        return self._router.streams(method, path)

    def handle(self, request: Request) -> Response:
        """The answer to a request; never raises, whatever the request or the store does."""
        response = self._guard.check(request)
        if response is None:
            response = self._answer(request)
        # Files have nosniff even where the guard is off.
        said = response.headers
        more = self._guard.headers(request)
        said.extend([each for each in more if each not in said] if said else more)
        return response

    def _answer(self, request: Request) -> Response:
        try:
            route, path = self._router.match(request.method, request.path)
            off = self._off.get(route)
            if off is not None:
                # The words and the status are MLflow's; its clients take this for a passing trouble and try again.
                return Response(503, off.encode("utf-8"), "text/plain; charset=utf-8")
            places = self._places
            context = Context(self._store, places.proxied, places, self._config, request, registry=self._registry)
            arguments = self._bindings[route].arguments(request, path)
            reply = route.function(context, *arguments)
            if self.silence is not None:
                self._hear(self.silence, request, route, arguments)
            return reply if type(reply) is Response else Response(200, wire.encode(reply))
        except TrackdError as error:
            return _refusal(error)
        except Exception as error:
            return _failure(error, request)


    def _hear(self, silence: Silence, request: Request, route: Route, arguments: List[Any]) -> None:
        """Note that a request has written to a run."""
        if request.method == "PUT":
            silence.uploaded(request)
        elif request.method in ("POST", "PATCH"):
            code = route.function.__code__
            names = code.co_varnames[1 : code.co_argcount]
            if "run_id" in names and arguments:
                silence.heard(str(arguments[names.index("run_id")]))


def _refusal(error: TrackdError) -> Response:
    headers = [("Allow", error.allow)] if isinstance(error, MethodNotAllowed) else []
    return Response(error.status, json.dumps(error.body()).encode("ascii"), headers=headers)


def _failure(error: Exception, request: Request) -> Response:
    """The answer to an error that nobody raised for the client."""
    known = _known(error)
    if known is not None:
        _log.error("request %s: %s %r: %s", request.id, request.method, request.path, error)
        return _refusal(known)
    _log.error("request %s: %s %r failed", request.id, request.method, request.path, exc_info=error)
    return _refusal(TrackdError(f"The server failed at this request; its log says why under the id {request.id}."))


def _known(error: Exception) -> Optional[TrackdError]:
    """What the system's own words for a full disk or a missing permission mean to a client.

    (Databases have words of their own; ``store.sql.connect`` knows them.)
    """
    if isinstance(error, OSError):
        if error.errno in _FULL:
            return StorageFull("There is no room left for the write; nothing of it was kept.")
        if error.errno in _FORBIDDEN:
            return PermissionDenied("The server may not write where it keeps its data.")
    return None
