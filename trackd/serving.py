"""The life of the server process: listen, open the store, say where, serve until a signal, stop cleanly."""

import errno
import gc
import os
import signal
import socket
import sys
import threading
import time
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import Callable, ContextManager, Iterator, List, Mapping, Optional, Sequence

from trackd import MLFLOW_VERSION, __version__
from trackd.app import App
from trackd.artifacts import Places
from trackd.config import LONGEST_TIMEOUT, Config, local_path, scheme_of
from trackd.errors import TrackdError
from trackd.store import open_store, same_place
from trackd.store.base import NoStore, Store
from trackd.web.message import Request, Response
from trackd.web.server import Limits, Server

Progress = Callable[[int, int], None]
Log = Callable[[str], None]
Say = Callable[[Sequence[str]], object]

#: Seconds that requests in flight get to finish once a stop is asked for.
GRACE = 10.0


class CannotStart(Exception):
    """Something outside of the program is in the way; the text is one sentence for the user, without its full stop."""


class Stopped(BaseException):
    """A signal asked for a stop before serving began. Not an ``Exception``: nothing may take it for a failure."""


class Signals:
    """SIGINT and SIGTERM as a clean stop: the first asks for it, a second ends the process at once.

    Before ``serving`` there is nothing in flight, and the first raises ``Stopped`` in the main thread.
    """

    def __init__(self) -> None:
        self._server: Optional[Server] = None
        self._asked = False

    def install(self) -> None:
        """Take over the signals that ask a program to stop, as far as the system has them."""
        for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._stop)

    @contextmanager
    def serving(self, server: Server) -> Iterator[None]:
        """While the main thread is in ``server.serve_forever``: a signal stops that server, and wakes it."""
        self._server = server
        signal.set_wakeup_fd(server.wakeup_fd(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)

    def _stop(self, number: int, frame: Optional[FrameType]) -> None:
        if self._asked:
            os._exit(128 + number)
        self._asked = True
        if self._server is None:
            raise Stopped
        self._server.shutdown(GRACE)


def serve(config: Config, say: Say, progress: Progress) -> None:
    """Serve until a signal asks for a stop. ``say`` gets the lines for the user. Raises ``CannotStart``.

    The port is taken before the store is opened: with the port in use, nothing is created or read in vain, and clients
    that come while a large folder is read wait for their answer instead of being refused.
    """
    log_to_stderr(config.verbose)
    signals = Signals()
    try:
        signals.install()
        server = _listen(config, lambda: app)
        try:
            places = _places(config)
            with _store(config, progress) as store, _registry(config, store) as models:
                app = _application(store, config, places, models)
                say(first_lines(config, store, server.address[1]))
                # Looking for cycles at every 700th object took a fifth of a large search. Only refused requests leave
                # some (an exception and its frames): a few MB of them may wait.
                gc.freeze()
                gc.set_threshold(10_000, 20, 50)
                with signals.serving(server), _marking(app):
                    server.serve_forever()
        finally:
            # Closes the port if serving never began; else this has been done.
            server.shutdown(0.0)
    except Stopped:
        say(["stopped before serving began"])


@contextmanager
def _marking(app: App) -> Iterator[None]:
    """Mark silent runs meanwhile, where that is asked for."""
    if app.silence is None:
        yield
        return
    app.silence.start()
    try:
        yield
    finally:
        app.silence.stop()


def _listen(config: Config, app: Callable[[], App]) -> Server:
    """The server on its port. ``app`` is not called before ``serve_forever``."""
    def handle(request: Request) -> Response:
        return app().handle(request)

    limits = Limits()
    if config.read_timeout is not None:
        seconds = float(config.read_timeout or LONGEST_TIMEOUT)
        limits = limits._replace(read_time=seconds, transfer_time=seconds)
    try:
        return Server(
            config.host.strip("[]"),
            config.port,
            _logged(handle) if config.verbose else handle,
            lambda method, path: app().streams(method, path),
            limits,
        )
    except (OSError, UnicodeError) as error:
        raise CannotStart(_why_not_listening(config, error)) from None


def _logged(handle: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """``handle`` with a line in the log per request."""
    import logging
    import time

    log = logging.getLogger("trackd.request")

    def answer(request: Request) -> Response:
        start = time.perf_counter()
        response = handle(request)
        spent = (time.perf_counter() - start) * 1000
        log.debug("%s: %s %a: %d in %.1f ms", request.id, request.method, request.target, response.status, spent)
        return response

    return answer


def _why_not_listening(config: Config, error: Exception) -> str:
    """A sentence for what the system answered to bind."""
    place = f"{config.host}, port {config.port}"
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return f"the host {config.host!r} is not known; --host takes an address of this host, such as 127.0.0.1"
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return f"{place} is in use by another program; --port chooses another port (0: any that is free)"
    if number in (errno.EACCES, errno.EPERM):
        return f"no permission to listen on {place}; ports below 1024 often need it, --port chooses another"
    if number == errno.EADDRNOTAVAIL:
        return f"{config.host} is no address of this host; 0.0.0.0 stands for all of them"
    return f"cannot listen on {place}: {getattr(error, 'strerror', None) or error}"


@contextmanager
def opened(config: Config, progress: Progress, log: Log) -> Iterator[Store]:
    """The store of the settings, closed at the end. ``log`` gets a line per problem in it.

    ``CannotStart`` if it cannot be opened.
    """
    try:
        store = open_store(
            config.backend_store_uri,
            sync=config.sync,
            read_only=config.read_only,
            index=config.index,
            artifact_root=config.default_artifact_root,
            progress=progress,
            log=log,
        )
    except TrackdError as error:
        raise CannotStart(error.message.rstrip(".")) from None
    except OSError as error:
        place = error.filename if isinstance(error.filename, str) else config.backend_store_uri
        raise CannotStart(f"{place} cannot be opened: {error.strerror or error}") from None
    try:
        yield store
    finally:
        store.close()


def read_only_store(uri: str, progress: Progress) -> ContextManager[Store]:
    """A store to look at: nothing is written into it, its index is temporary, its problems are for ``check``."""
    return opened(Config(backend_store_uri=uri, read_only=True), progress, lambda line: None)


def _places(config: Config) -> Places:
    """Where artifacts are, swept of what a killed server has left there."""
    try:
        places = Places(config)
        if config.serve_artifacts or config.artifacts_only:
            if scheme_of(config.artifacts_destination) == "s3":
                # Nobody waits for a network.
                threading.Thread(target=places.proxied.sweep, args=(time.time(),), daemon=True).start()
            else:
                places.proxied.sweep(time.time())
    except TrackdError as error:
        raise CannotStart(error.message.rstrip(".")) from None
    except OSError as error:
        raise CannotStart(f"{config.artifacts_destination} cannot be read: {error.strerror or error}") from None
    return places


def _store(config: Config, progress: Progress) -> ContextManager[Store]:
    """The store of the settings; none for a server of artifacts alone, whose routes need none."""
    return nullcontext(NoStore()) if config.artifacts_only else opened(config, progress, _log_problem)


@contextmanager
def _registry(config: Config, store: Store) -> Iterator[Store]:
    """Where registered models are kept: ``store`` itself, unless the settings name another place."""
    uri = config.registry_store_uri
    if config.artifacts_only or not uri or same_place(uri, config.backend_store_uri):
        yield store
        return
    settings = Config(backend_store_uri=uri, sync=config.sync, read_only=config.read_only)
    with opened(settings, lambda done, total: None, _log_problem) as models:
        yield models


def _application(store: Store, config: Config, places: Places, models: Store) -> App:
    """The application; a pattern that means nothing, for hosts or for sources of models, is the user's mistake."""
    from trackd.api import patterns

    wrong = patterns.problem()
    if wrong:
        raise CannotStart(wrong)
    try:
        return App(store, config, models, places=places)
    except ValueError as error:
        raise CannotStart(f"--allowed-hosts: {error}") from None


def first_lines(config: Config, store: Store, port: int) -> List[str]:
    """What the server says when it is ready: address, stores, version, how to stop."""
    host = config.host.strip("[]")
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{port}{config.static_prefix}"
    if host in ("0.0.0.0", "::"):
        address += f"  (from this host: http://localhost:{port}{config.static_prefix})"
    runs = "none: this server has artifacts only"
    if not config.artifacts_only:
        amount = counted(store.counts())
        runs = f"{_shown(config.backend_store_uri)} ({amount}{'; read-only' if config.read_only else ''})"
    lines = [
        f"trackd {__version__}, an MLflow tracking server (API {config.mlflow_version})",
        f"  address    {address}",
        f"  runs       {runs}",
        f"  artifacts  {_destination(config)}",
        "  stop       Ctrl-C",
    ]
    if config.registry_store_uri and not same_place(config.registry_store_uri, config.backend_store_uri):
        lines.insert(3, f"  models     {_shown(config.registry_store_uri)}")
    if config.mlflow_version != MLFLOW_VERSION:
        lines[0] = f"trackd {__version__}, an MLflow tracking server (API {MLFLOW_VERSION}, " \
                   f"says it is {config.mlflow_version})"
    if config.disable_security_middleware:
        lines.append("  warning    Host and Origin are not checked: any web page can read and write here")
    elif host not in ("127.0.0.1", "localhost", "::1") and not config.allowed_hosts:
        lines.append("  hosts      localhost and private addresses are answered; --allowed-hosts lists other names")
    if config.backend_store_uri == "./mlruns" and os.path.exists("mlflow.db"):
        lines.append("  note       ./mlflow.db is not looked at; --backend-store-uri sqlite:///mlflow.db serves it")
    return lines


def _destination(config: Config) -> str:
    """Where artifacts go, for the user."""
    if not (config.serve_artifacts or config.artifacts_only):
        return f"written by clients themselves, below {config.default_artifact_root}"
    return _shown(config.artifacts_destination)


def _shown(uri: str) -> str:
    """A place for people: a folder as an absolute path, a database or a bucket as its URI."""
    folder = local_path(uri)
    return uri if folder is None else os.path.abspath(folder)


def counted(counts: Mapping[str, int]) -> str:
    """``{"experiments": 1, "runs": 20}`` as "1 experiment, 20 runs"."""
    return ", ".join(f"{count} {name[:-1] if count == 1 else name}" for name, count in counts.items())


def _log_problem(line: str) -> None:
    """A problem of the store, as a line of the log. (The module is imported late: a clean start has nothing to log.)"""
    import logging

    logging.getLogger("trackd.store").warning(line)


def log_to_stderr(verbose: bool) -> None:
    """Plain lines with time and level on stderr, from all of the program."""
    import logging

    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
