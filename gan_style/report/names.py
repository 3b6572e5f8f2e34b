"""What the scores and baselines of a report are, in words, and how values are written."""

from collections.abc import Mapping
from dataclasses import dataclass, replace


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


# By name, or by the part of it before the name of a feature extractor: kid is also kid_random and kid_vgg.
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
    "fid": Score(
        "FID", "Fréchet distance between the features of translated and real pictures; lower is better.", False, 2
    ),
    "frechet": Score(
        "Fréchet distance",
        "Between the features of translated and real pictures; with few pictures it mostly measures their number; "
        "lower is better.",
        False,
    ),
    "kid": Score(
        "KID",
        "Kernel distance between the features of translated and real pictures, 0 for the same distribution; lower is "
        "better.",
        False,
        4,
    ),
    "cmmd": Score("CMMD", "Gaussian kernel distance between features; lower is better.", False, 4),
    "swd": Score("SWD", "Sliced Wasserstein distance between patches of the two sets; lower is better.", False),
    "precision": Score("Precision", "Share of translated pictures among the real ones; higher is better.", True),
    "recall": Score("Recall", "Share of real pictures among the translated ones; higher is better.", True),
    "density": Score("Density", "How densely real pictures surround the translated ones; higher is better.", True),
    "coverage": Score("Coverage", "Share of real pictures with a translated one near; higher is better.", True),
    "lpips": Score("LPIPS", "Perceptual distance between pictures; lower is better.", False),
    "edge_agreement": Score("Edge agreement", "Correlation of the edges of input and output; higher is better.", True),
    "cycle_error": Score(
        "Cycle error",
        "Mean absolute difference, on [-1, 1], between an input and what comes back of it; lower is better.",
        False,
    ),
    "cycle_honesty": Score(
        "Cycle honesty",
        "How much of the cycle survives when nothing can be hidden in the picture; 1 hides nothing; higher is better.",
        True,
    ),
}
_BASELINES = {
    "input": "The untranslated picture, scored as if it were the translation.",
    "colour transfer": "The input, with the mean and standard deviation of each colour channel matched to "
    "the other domain.",
}


def describe(score: str) -> Score:
    """Returns how a score is shown; a score that is not known has only its name."""
    family, _, extractor = score.partition("_")
    known = _SCORES.get(score.lower())
    if known is None and extractor and family.lower() in _SCORES:
        known = _SCORES[family.lower()]
        known = replace(known, title=f"{known.title} ({extractor})")
    return known or Score(score)


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
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items())
    return str(value)
