"""Errors of memory that ran out: recognised in the messages of any library, and explained in one sentence."""

from __future__ import annotations

import errno
import re

from gan_style.core.paths import printable

# Messages of libraries that raise no MemoryError.
_WORDS = re.compile(
    r"out of memory|not enough memory|can't allocate memory|cannot allocate memory|unable to allocate|"
    r"failed to allocate|insufficient memory|bad_alloc|bad allocation|_ALLOC_FAILED|MemoryError",
    re.IGNORECASE,
)
# Raised by torch, OpenCV and onnxruntime. In other classes such a message may quote a file's text.
_CLASSES = (RuntimeError, SystemError)
_OF_OPENCV, _OF_ONNXRUNTIME = "cv2", "onnxruntime"
_WANTED = re.compile(r"allocate ([\d.]+) ?(bytes|[KMGT]?i?B)\b", re.IGNORECASE)
_UNITS = {"bytes": 1, "b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_UNITS |= {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}


def ran_out(error: BaseException) -> bool:
    """Check whether an error says that no memory was left, of the machine or of a GPU.

    NumPy, PyAV and Python raise a MemoryError; torch, OpenCV and the system say it in their message, and so does an
    error that a loader worker passes on.
    """
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    library = type(error).__module__.partition(".")[0]
    return (isinstance(error, _CLASSES) or library in (_OF_OPENCV, _OF_ONNXRUNTIME)) and bool(_WORDS.search(str(error)))


def raise_if_out(error: BaseException, doing: str = "") -> None:
    """Raise an error again if it says that memory ran out, before its handler takes it for a damaged file.

    Args:
        error: the error that was caught.
        doing: what was done, for the message, such as `a.png was read`.
    """
    if ran_out(error):
        if doing:
            error.add_note(doing)
        raise error


def bytes_requested(error: BaseException) -> float:
    """Return how many bytes were requested, by an error for which `ran_out`; 0 where it does not say."""
    wanted = _WANTED.search(str(error))
    return float(wanted[1]) * _UNITS.get(wanted[2].lower(), 0) if wanted else 0


def sentence(error: BaseException, advice: str) -> str:
    """Return one sentence for the user.

    Args:
        error: an error for which `ran_out` holds.
        advice: which setting to lower.
    """
    text, size = str(error), bytes_requested(error)
    card = "CUDA" in text or "CUBLAS" in text or type(error).__name__ == "OutOfMemoryError"
    more = f" ({size / 1e9:.3g} GB more were asked for)" if size >= 1e6 else ""
    notes = getattr(error, "__notes__", ())
    when = f" while {printable(notes[0])}" if notes else ""
    return f"{'the memory of the graphics card' if card else 'memory'} ran out{when}{more}: {advice}"


_DEFAULT_ADVICE = "close other programs, or take a machine with more"
# By verb, which settings lower its memory.
ADVICE = {
    "train": "lower data.batch_size, data.image_size, data.num_workers or the networks' filters, or give "
    "trainer.checkpointing=true; gan-style plan says what fits",
    "plan": "plan a smaller model, data.image_size or data.batch_size",
    "audit": "lower data.batch_size, data.image_size or the networks' filters",
    "translate": "give smaller tiles (--tile 256), a smaller --size, or --batch 1",
    "stylize": "give a smaller --size",
    "sheet": "give a smaller --size or --cell, or fewer pictures and models",
    "evaluate": "score fewer pictures with --limit, or give --device cpu",
    "table": "score fewer pictures with limit=, or give device=cpu",
    "compare": "give a smaller --size or fewer pictures, or --device cpu",
    "inspect": "make the largest pictures smaller, or have a lower GAN_STYLE_MAX_PIXELS in the environment name them",
    "serve": "take a smaller --batch or --max-pixels",
    "studio": "take a smaller size or picture, or fewer styles",
}


def advice_of(verb: str) -> str:
    """Return which settings to lower where a verb's memory ran out."""
    return ADVICE.get("train" if verb == "sweep" else verb, _DEFAULT_ADVICE)
