"""Names and descriptions of the scores and baselines of a report, and the format of values."""

from collections.abc import Mapping
from dataclasses import dataclass

from gan_style.metrics.table import better_end, row_of


@dataclass(frozen=True)
class Score:
    """Display of a score.

    Attributes:
        title: Its name with its unit.
        text: What it is, in one sentence.
        higher: Whether higher is better; None where that is not known.
        digits: Decimals shown.
        unit: Its unit, empty for none.
    """

    title: str
    text: str = ""
    higher: bool | None = None
    digits: int = 3
    unit: str = ""


_BASELINES = {
    "input": "The untranslated picture, scored as if it were the translation.",
    "colour transfer": "The input, with the mean and standard deviation of each colour channel matched to "
    "the other domain.",
}


_HIGHER = {"highest": True, "lowest": False}  # a score that is best at 1 has no better end
_SENTENCES = {"highest": "; higher is better.", "lowest": "; lower is better.", "one": "; 1 is best."}


def describe(score: str, entry: Mapping[str, object] | None = None) -> Score:
    """Return how a score is shown; one that is not known has only its name.

    Args:
        score: The name of its column.
        entry: Of the result file, which describes a score of one's own.
    """
    row, entry = row_of(score), entry or {}
    end = better_end(score, entry)
    sentence = _SENTENCES[end] if end else ""
    if row is None:
        title, text = (str(entry.get(key) or "") for key in ("title", "text"))
        text = f"{text or 'A score of a package of its own'}{sentence}" if end else ""
        return Score(title or score, text, end and end == "highest")
    of = score[len(row.name) :].lstrip("_") if score.lower().startswith(row.name) else score
    return Score(
        f"{row.title} ({of})" if of else row.title,
        f"{row.text}{sentence}",
        _HIGHER.get(row.better),
        row.digits,
        row.unit,
    )


def describe_baseline(name: str) -> str:
    """Return the description of a baseline in one sentence, empty where it is not known."""
    return _BASELINES.get(name.lower().replace("_", " ").replace("color", "colour"), "")


def compact(value: float) -> str:
    """Return a number with about three significant digits, for legends and tables."""
    size = abs(value)
    if not size:
        return "0"
    if size < 1e-3 or size >= 1e6:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    if size >= 1000:
        return f"{value:,.0f}"
    digits = 1 if size >= 100 else 2 if size >= 10 else 3
    return f"{value:.{digits}f}"


def plain(value: object) -> str:
    """Return any value of a file as short text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 1000 else str(value)
    if isinstance(value, list | tuple):
        return ", ".join(plain(item) for item in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items())
    return str(value)
