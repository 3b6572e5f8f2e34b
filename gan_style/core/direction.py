"""From which domain to which."""

from __future__ import annotations

from enum import StrEnum

OTHER = {"A": "B", "B": "A"}  # letter of a domain -> that of the other one


class Direction(StrEnum):
    """A translation of one domain's pictures into the other domain; its text is that of commands and files."""

    A2B = "A2B"
    B2A = "B2A"

    @property
    def source(self) -> str:
        """Letter of the domain that pictures come from."""
        return self.value[0]

    @property
    def target(self) -> str:
        """Letter of the domain that they are translated to."""
        return self.value[-1]

    @property
    def back(self) -> Direction:
        """Opposite direction."""
        return Direction.B2A if self is Direction.A2B else Direction.A2B
