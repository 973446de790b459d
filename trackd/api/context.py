"""What an endpoint may touch."""

from typing import Optional

from trackd.config import Config
from trackd.store.base import Store
from trackd.web.message import Request


class Context:
    """The first argument of every endpoint: where things are kept, the settings, who asks, and what came."""

    __slots__ = ("store", "config", "user", "request")

    def __init__(self, store: Store, config: Config, request: Request, user: Optional[str] = None) -> None:
        self.store = store
        self.config = config
        self.request = request
        self.user = user
