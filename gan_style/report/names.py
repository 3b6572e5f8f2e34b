"""What the scores and baselines of a report are, in words, and how values are written."""

from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Score:
    """How a score is shown.

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


_SCORES = {
    "psnr": Score(
        "PSNR (dB)",
        "Peak signal-to-noise ratio between the translated picture and its true counterpart, in dB; higher is better.",
        True,
        2,
        "dB",
    ),
    "ssim": Score(
        "SSIM",
        "Structural similarity of the translated picture and its true counterpart, in [0, 1]; higher is better.",
        True,
    ),
    "lpips": Score("LPIPS", "Perceptual distance to the true counterpart; lower is better.", False),
    "mae": Score("MAE", "Mean absolute difference to the true counterpart; lower is better.", False, 4),
    "l1": Score("L1", "Mean absolute difference to the true counterpart; lower is better.", False, 4),
    "mse": Score("MSE", "Mean squared difference to the true counterpart; lower is better.", False, 4),
    "fid": Score(
        "FID",
        "Fréchet distance between the features of the translated and of the real pictures; lower is better.",
        False,
        2,
    ),
    "kid": Score(
        "KID",
        "Kernel distance between the features of the translated and of the real pictures; lower is better.",
        False,
        4,
    ),
}
_BASELINES = {
    "input": "The untranslated picture, scored as if it were the translation.",
    "colour transfer": "The input, with the mean and standard deviation of each colour channel matched to "
    "the other domain.",
}


def describe(score: str) -> Score:
    """Returns how a score is shown; a score that is not known has only its name."""
    return _SCORES.get(score.lower(), Score(score))


def describe_baseline(name: str) -> str:
    """Returns what a baseline is in one sentence, empty where that is not known."""
    return _BASELINES.get(name.lower().replace("_", " ").replace("color", "colour"), "")


def compact(value: float) -> str:
    """Returns a number with about three significant digits, for legends and tables."""
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
    """Returns any value of a file as short text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 1000 else str(value)
    if isinstance(value, list | tuple):
        return ", ".join(plain(item) for item in value)
    return str(value)


def definition_list(rows: list[tuple[str, str]], kind: str = "facts") -> str:
    """Returns pairs of name and text as an HTML definition list."""
    items = "".join(f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>" for key, value in rows)
    return f'<dl class="{kind}">{items}</dl>'
