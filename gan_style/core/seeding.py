"""Randomness as a pure function: the same arguments give the same numbers on every machine."""

import hashlib
import json
import operator

import numpy as np
from numpy.typing import NDArray


def derive_seed(*parts: int | str) -> int:
    """Hash the parts to a seed; equal in every process and Python version.

    Args:
        parts: Integers (NumPy's too) and strings; 1 and "1" differ, and so do ("ab",) and ("a", "b").

    Returns:
        A whole number in [0, 2**63).
    """
    plain = [part if isinstance(part, str) else int(operator.index(part)) for part in parts]
    # JSON escapes everything beyond ASCII, whereas repr follows the Unicode tables of the interpreter.
    digest = hashlib.blake2b(json.dumps(plain).encode("ascii"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def epoch_order(seed: int, epoch: int, n: int) -> NDArray[np.int64]:
    """Return the order in which n items are visited in one epoch.

    Args:
        seed: Any whole number.
        epoch: Number of the epoch; each has its own order.
        n: Number of items.

    Returns:
        A permutation of 0 .. n - 1 as int64 [n].
    """
    # Sorting raw 64-bit words: NumPy promises the words of a bit generator, not those of permutation().
    words = np.random.PCG64(derive_seed("epoch_order", seed, epoch)).random_raw(n)
    return np.argsort(words, kind="stable").astype(np.int64, copy=False)
