"""Drawing in SVG, for every chart and plot: elements, scales with round ticks, and a file that needs nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gan_style.report.markup import escape

# Of files that stand by themselves; b bold, s small, e and m: anchored at the end and in the middle, t on a white edge.
STYLE = (
    "<style>text{font:12px system-ui,sans-serif;fill:#333}.b{font-weight:600}.s{font-size:11px;fill:#666}"
    ".e{text-anchor:end}.m{text-anchor:middle}.t{stroke:#fff;stroke-width:4px;paint-order:stroke}</style>"
)


@dataclass(frozen=True)
class Scale:
    """Mapping of values to positions on the drawing.

    Attributes:
        low, high: Values at the ends.
        start, stop: Their positions, in pixels.
    """

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)

    def ticks(self, count: int) -> list[float]:
        """Return about ``count`` round values between the ends."""
        return nice_ticks(self.low, self.high, count)


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """Return about ``count`` round numbers within a range."""
    power = 10.0 ** math.floor(math.log10((high - low) / count))
    choices = [
        [index * step for index in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
        for step in (factor * power for factor in (1, 2, 5, 10))
    ]
    return min(choices, key=lambda ticks: abs(len(ticks) - count))


def element(name: str, inside: str = "", **attributes: str | float | None) -> str:
    """Return one element.

    Args:
        name: Such as ``path``.
        inside: Elements within it, or escaped text.
        attributes: By name, with ``_`` for a hyphen, and ``class_`` for a keyword of Python. Floats have one decimal;
            None leaves an attribute out.
    """
    shown = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    written = "".join(f' {key}="{f"{v:.1f}" if isinstance(v, float) else v}"' for key, v in shown.items())
    return f"<{name}{written}>{inside}</{name}>" if inside else f"<{name}{written}/>"


def text(x: float, y: float, content: str, kind: str | None = None) -> str:
    """Return a text at a position; ``kind`` is a class of the style sheet."""
    return element("text", escape(content), x=x, y=y, class_=kind)


def title(content: str) -> str:
    """Return the tooltip of the element around it."""
    return element("title", escape(content))


def document(width: int, height: int, label: str, content: str) -> str:
    """Return a drawing as a file of its own, on white.

    Args:
        width, height: In pixels.
        label: Description of the drawing, for screen readers.
        content: Its elements.
    """
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(label)}">{STYLE}<rect width="100%" height="100%" fill="#fff"/>'
        f"{content}</svg>\n"
    )
