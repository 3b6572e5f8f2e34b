"""Memory that ran out: whether an error says so, in whichever library's words, and what is said of it."""

from __future__ import annotations

import errno
import re

from gan_style.core.paths import printable

# What each library says where it raises no MemoryError.
_WORDS = re.compile(
    r"out of memory|not enough memory|can't allocate memory|cannot allocate memory|unable to allocate|"
    r"failed to allocate|insufficient memory|bad_alloc|bad allocation|_ALLOC_FAILED|MemoryError",
    re.IGNORECASE,
)
# Raised by torch, OpenCV and onnxruntime; others with such words tell of something else, as of a file's own text.
_CLASSES = (RuntimeError, SystemError)
_OF_OPENCV, _OF_ONNXRUNTIME = "cv2", "onnxruntime"
_WANTED = re.compile(r"allocate ([\d.]+) ?(bytes|[KMGT]?i?B)\b", re.IGNORECASE)
_UNITS = {"bytes": 1, "b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_UNITS |= {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}


def ran_out(error: BaseException) -> bool:
    """Whether an error says that there was no memory left, of the machine or of a graphics card.

    NumPy, PyAV and Python raise a MemoryError; torch, OpenCV and the system say it in words, and so does what a worker
    of a data loader hands on.
    """
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    library = type(error).__module__.partition(".")[0]
    return (isinstance(error, _CLASSES) or library in (_OF_OPENCV, _OF_ONNXRUNTIME)) and bool(_WORDS.search(str(error)))


def raise_if_out(error: BaseException, doing: str = "") -> None:
    """Hand an error on that says so, where any other is taken for a fault of what was read or written.

    Args:
        error: that was caught.
        doing: for the sentence, such as `a.png was read`.
    """
    if ran_out(error):
        if doing:
            error.add_note(doing)
        raise error


def asked(error: BaseException) -> float:
    """How many bytes an error for which `ran_out` says were asked for; 0 where it says nothing."""
    wanted = _WANTED.search(str(error))
    return float(wanted[1]) * _UNITS.get(wanted[2].lower(), 0) if wanted else 0


def sentence(error: BaseException, advice: str) -> str:
    """One line for a person.

    Args:
        error: for which `ran_out`.
        advice: what can be lowered.
    """
    text, size = str(error), asked(error)
    card = "CUDA" in text or "CUBLAS" in text or type(error).__name__ == "OutOfMemoryError"
    more = f" ({size / 1e9:.3g} GB more were asked for)" if size >= 1e6 else ""
    notes = getattr(error, "__notes__", ())
    when = f" while {printable(notes[0])}" if notes else ""
    return f"{'the memory of the graphics card' if card else 'memory'} ran out{when}{more}: {advice}"


_ELSE = "close other programs, or take a machine with more"
# What each verb can do with less.
ADVICE = {
    "train": "lower data.batch_size, data.image_size, data.num_workers or the networks' filters, or give "
    "trainer.checkpointing=true; gan-style plan says what fits",
    "plan": "plan a smaller model, data.image_size or data.batch_size",
    "audit": "lower data.batch_size, data.image_size or the networks' filters",
    "translate": "give smaller tiles (--tile 256), a smaller --size, or --batch 1",
    "stylize": "give a smaller --size",
    "sheet": "give a smaller --size or --cell, or fewer pictures and models",
    "evaluate": "score fewer pictures with --limit, or give --device cpu",
    "compare": "give a smaller --size or fewer pictures, or --device cpu",
    "inspect": "make the largest pictures smaller, or have a lower GAN_STYLE_MAX_PIXELS in the environment name them",
    "studio": "take a smaller size or picture, or fewer styles",
}


def advice_of(verb: str) -> str:
    """What can be lowered where a verb's memory ran out."""
    return ADVICE.get(verb, _ELSE)
