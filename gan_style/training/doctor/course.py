"""Memory over checks: a failure that lasts is reported once, and again if it comes back."""

from __future__ import annotations

from typing import Any

from gan_style.training.doctor.codes import CODES
from gan_style.training.doctor.detectors import Look

REFERENCE_NORMS = 5  # the first norms of a gradient, whose median later ones are compared with


class Course:
    """Counter of checks in a row that show a failure, and memory of the first norms of the gradients.

    Its state is plain data, so that a resumed run continues counting.
    """

    def __init__(self) -> None:
        # "code where" -> [checks in a row that show it (or, negative, that do not), 1 if it was reported]
        self.counts: dict[str, list[int]] = {}
        self.norms: dict[str, list[float]] = {}  # player -> the first norms

    def update(self, look: Look) -> list[tuple[str, str, str]]:
        """Count a check, and return what is to be reported: code, where, numbers."""
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
        """Divide a gradient's norm by the median of the first ones, which do not include norms that exploded."""
        first = self.norms.setdefault(player, [])
        usual = sorted(first)[len(first) // 2] if first else norm
        growth = norm / usual if usual > 0 else 1.0
        if len(first) < REFERENCE_NORMS and 0 < norm < float("inf") and growth <= 10:
            first.append(norm)
        return growth

    def suspects(self) -> list[str]:
        """Return the critical failures that the last check showed, reported or not."""
        return [key for key, (count, _) in self.counts.items() if count > 0 and is_critical(key.split()[0])]

    def state_dict(self) -> dict[str, Any]:
        return {"counts": self.counts, "norms": self.norms}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.counts = {key: list(value) for key, value in state["counts"].items()}
        self.norms = {key: list(value) for key, value in state["norms"].items()}


def is_critical(code: str) -> bool:
    return CODES[code].severity == "critical"
