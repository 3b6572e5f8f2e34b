"""The verb `gan-style licences`."""

from __future__ import annotations

import json
import re
from argparse import Namespace
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from gan_style.core.errors import UserError
from gan_style.core.terminal import answer

OURS = "gan-style"
LONGEST = 60  # characters; some packages put the whole text where its name belongs
NAME = re.compile(r"[\w.-]+")


def licences(parsed: Namespace) -> None:
    """Print name, version and licence of this package and of all that it depends on, as far as it is installed.

    Raises:
        UserError: the package runs without being installed, so that nothing says what it depends on.
    """
    try:
        rows = listed(OURS)
    except PackageNotFoundError as error:
        raise UserError(f"{OURS} is not installed here, only its files: pip install it to see its licences") from error
    if parsed.json:
        answer(json.dumps(rows))
        return
    width = max(len(f"{row['name']} {row['version']}") for row in rows)
    for row in rows:
        answer(f"{row['name'] + ' ' + row['version']:{width}}  {row['licence']}")


def listed(name: str) -> list[dict[str, str]]:
    """List a package and all that it depends on here, sorted by name after itself; extras that are there count."""
    found: dict[str, Distribution] = {}
    left = [name]
    while left:
        one = left.pop()
        if one in found:
            continue
        try:
            found[one] = distribution(one)
        except PackageNotFoundError:  # of an extra or of another system
            if one == name:
                raise
            continue
        left += [_normal(match[0]) for line in found[one].requires or () if (match := NAME.match(line))]
    rows = [{"name": key, "version": value.version, "licence": licence(value)} for key, value in found.items()]
    return [rows[0], *sorted(rows[1:], key=lambda row: row["name"])]


def licence(package: Distribution) -> str:
    """Return what a package says its licence is: an SPDX expression, a word, or its classifiers."""
    about = package.metadata
    words = [line for field in ("License-Expression", "License") for line in about.get_all(field) or ()]
    short = [" ".join(word.split()) for word in words if word.strip() not in ("", "UNKNOWN")]
    if short and len(short[0]) <= LONGEST:
        return short[0]
    kinds = [kind for kind in about.get_all("Classifier") or () if kind.startswith("License ::")]
    named = [kind.rpartition(" :: ")[2] for kind in kinds if kind != "License :: OSI Approved"]
    if named:
        return ", ".join(named)
    return f"{short[0][:LONGEST]}..." if short else "not said: see its files"


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
