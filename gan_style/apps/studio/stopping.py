"""Stop buttons: requests to stop, checked before every layer of the running network."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any

from torch.nn.modules.module import register_module_forward_pre_hook


class Stopped(Exception):  # noqa: N818 (an event, as Interrupted)
    """Event of a stop by the user; not a UserError, which a comparison takes for the failure of one method."""


class Stops:
    """Sessions of the page that were asked to stop.

    Args:
        most: number of sessions that are remembered, the newest.
    """

    def __init__(self, most: int = 1000) -> None:
        self.most = most
        self._asked: dict[Hashable, None] = {}

    def ask(self, session: Hashable) -> None:
        """Ask to stop what this session has running or waiting; without any it has no effect."""
        self._asked[session] = None
        for old in list(self._asked)[: -self.most]:
            self._asked.pop(old, None)

    def begin(self, session: Hashable) -> None:
        """Forget earlier requests of a session, which are not meant for the work that starts now."""
        self._asked.pop(session, None)

    def asked(self, session: Hashable) -> bool:
        """Check whether a session has asked to stop what it has running."""
        return session in self._asked

    @contextmanager
    def heard(self, session: Hashable, *, within: bool = True) -> Iterator[None]:
        """Make networks called in this thread raise `Stopped` once their session asks for it, inside a `with` block.

        Args:
            session: whose requests.
            within: False lets passes end: whatever runs looks at `asked` by itself, and keeps what it has.

        Raises:
            Stopped: at once, if the session has asked since `begin`.
        """
        if session in self._asked:  # while it waited
            self._asked.pop(session, None)
            raise Stopped
        if not within:
            try:
                yield
            finally:
                self._asked.pop(session, None)
            return
        own = threading.get_ident()

        def check(*_: Any) -> None:
            if threading.get_ident() == own and session in self._asked:
                raise Stopped

        # A hook on all modules, because a comparison loads its models while it runs.
        handle = register_module_forward_pre_hook(check)
        try:
            yield
        finally:
            handle.remove()
            self._asked.pop(session, None)
