"""From looks to findings: what stays is said once, and again where it comes back."""

from __future__ import annotations

from typing import Any

from gan_style.training.doctor.codes import CODES
from gan_style.training.doctor.detectors import Look

FIRST = 5  # norms that a gradient is measured against


class Course:
    """Counts looks in a row, and remembers the first norms of the gradients.

    Its state is plain, so that a resumed run goes on counting.
    """

    def __init__(self) -> None:
        self.counts: dict[
            str, list[int]
        ] = {}  # "code where" -> looks in a row that show it (or, below 0, do not), said
        self.norms: dict[str, list[float]] = {}  # player -> the first ones

    def update(self, look: Look) -> list[tuple[str, str, str]]:
        """Take a look into account. Returns what is to be said: code, where, numbers."""
        new = []
        for (code, where), (there, seen) in look.items():
            count, said = self.counts.get(f"{code} {where}", [0, 0])
            count = max(count, 0) + 1 if there else min(count, 0) - 1
            patience = CODES[code].patience
            if count >= patience and not said:
                said = 1
                new.append((code, where, seen))
            elif count <= -patience:
                said = 0
            self.counts[f"{code} {where}"] = [max(min(count, patience), -patience), said]
        return new

    def growth(self, player: str, norm: float) -> float:
        """A gradient's norm against the median of the first ones; one that exploded is not kept among them."""
        first = self.norms.setdefault(player, [])
        usual = sorted(first)[len(first) // 2] if first else norm
        growth = norm / usual if usual > 0 else 1.0
        if len(first) < FIRST and 0 < norm < float("inf") and growth <= 10:
            first.append(norm)
        return growth

    def suspects(self) -> list[str]:
        """Critical ones that the last look showed, said or not."""
        return [key for key, (count, _) in self.counts.items() if count > 0 and is_critical(key.split()[0])]

    def state_dict(self) -> dict[str, Any]:
        return {"counts": self.counts, "norms": self.norms}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.counts = {key: list(value) for key, value in state["counts"].items()}
        self.norms = {key: list(value) for key, value in state["norms"].items()}


def is_critical(code: str) -> bool:
    return CODES[code].severity == "critical"
