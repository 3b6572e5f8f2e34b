"""The Stop buttons: a wish to end, heard between the layers of whatever network works."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any

from torch.nn.modules.module import register_module_forward_pre_hook


class Stopped(Exception):  # noqa: N818 (an event, as Interrupted)
    """A person wants no more; not a UserError, which a comparison would take for the failure of one method."""


class Stops:
    """Which sessions of the page want no more of what they asked for.

    Args:
        most: that are remembered, the newest; only those of the queue mean something.
    """

    def __init__(self, most: int = 1000) -> None:
        self.most = most
        self._asked: dict[Hashable, None] = {}

    def ask(self, session: Hashable) -> None:
        """Stop what this session has running or waiting; without anything it means nothing."""
        self._asked[session] = None
        for old in list(self._asked)[: -self.most]:
            self._asked.pop(old, None)

    def begin(self, session: Hashable) -> None:
        """A new wish, which may have to wait: what was asked before is not meant for it."""
        self._asked.pop(session, None)

    @contextmanager
    def heard(self, session: Hashable) -> Iterator[None]:
        """Inside, in this thread, a network that is called raises `Stopped` once its session has asked for it.

        Raises:
            Stopped: also at once, where it was asked for since `begin`.
        """
        if session in self._asked:  # while it waited
            self._asked.pop(session, None)
            raise Stopped
        own = threading.get_ident()

        def check(*_: Any) -> None:
            if threading.get_ident() == own and session in self._asked:
                raise Stopped

        # Of every module, for a comparison loads its models while it works.
        handle = register_module_forward_pre_hook(check)
        try:
            yield
        finally:
            handle.remove()
            self._asked.pop(session, None)
