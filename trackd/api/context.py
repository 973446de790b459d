"""What an endpoint may touch."""

from contextlib import contextmanager
from typing import Iterator, Optional, Tuple

from trackd.artifacts.base import ArtifactStore, Locations
from trackd.config import Config
from trackd.store.base import Store, Transaction
from trackd.web.message import Request


class Context:
    """The first argument of every endpoint: where things are kept, the settings, who asks, and what came.

    ``artifacts`` holds what clients send to this server; ``locations`` finds the artifacts of anything by its location.
    ``registry`` is where registered models and their versions are kept: ``store`` itself, unless
    ``--registry-store-uri`` names another place.
    """

    __slots__ = ("store", "registry", "artifacts", "locations", "config", "user", "request")

    def __init__(
        self,
        store: Store,
        artifacts: ArtifactStore,
        locations: Locations,
        config: Config,
        request: Request,
        user: Optional[str] = None,
        registry: Optional[Store] = None,
    ) -> None:
        self.store = store
        self.registry = registry or store
        self.artifacts = artifacts
        self.locations = locations
        self.config = config
        self.request = request
        self.user = user

    @contextmanager
    def both(self) -> Iterator[Tuple[Transaction, Transaction]]:
        """Transactions of ``store`` and ``registry``, which are one where the two are.

        Where they are not, that of the registry is committed first. A crash in between leaves what it holds without
        what belongs to it in the store: never the other way round. (The order is also what keeps two requests from
        waiting for each other.)
        """
        with self.store.transaction() as tx:
            if self.registry is self.store:
                yield tx, tx
            else:
                with self.registry.transaction() as registry_tx:
                    yield tx, registry_tx
