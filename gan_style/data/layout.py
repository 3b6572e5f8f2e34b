"""Layouts of a data set's folder, found automatically: `trainA trainB`, `train/A train/B` or `A B`."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gan_style.core.errors import UserError
from gan_style.core.paths import absent, expanded, resolved
from gan_style.core.seeding import derive_seed
from gan_style.data.images import is_picture, list_images
from gan_style.data.ledger import Ledger
from gan_style.data.sources import list_source

WANTED = "trainA and trainB, train/A and train/B, or A and B"
SETTINGS = {"trainA": "A", "trainB": "B", "testA": "test_A", "testB": "test_B"}  # part -> key below `data.`
BARE = ("A", "B")
TRAINED_AND_LOOKED_AT = (
    (("trainA", "trainB"), (("valA", "valB"), ("testA", "testB"))),
    (("train/A", "train/B"), (("val/A", "val/B"), ("test/A", "test/B"))),
    (("A/train", "B/train"), (("A/val", "B/val"), ("A/test", "B/test"))),
)
TESTS_OF_BARE = (("valA", "valB"), ("testA", "testB"), ("val/A", "val/B"), ("test/A", "test/B"))
MAX_NAMES_SHOWN = 8  # in a message


@dataclass
class Layout:
    """Files of each part, with notes about what was decided.

    Attributes:
        parts: "trainA", "trainB" and, where there are pictures to look at, "testA" and "testB", to their files.
        notes: Messages for the user.
        ledger: What was left out of the folders.
    """

    parts: dict[str, list[Path]]
    notes: list[str] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)


def find_set(name: str) -> Path:
    """Find the folder of a set: a folder itself, or a name below data/.

    Raises:
        UserError: If there is neither.
    """
    for path in (expanded(name), Path("data") / name):
        if path.is_dir():
            return path
    raise UserError(
        f"there is no folder {name} and no folder data/{absent(name)}: name the folder that holds trainA and trainB"
    )


def find_layout(root: Path, split: float = 0.1) -> Layout:
    """Find the parts of a folder.

    `valA` and `valB`, where they exist, are looked at instead of `testA` and `testB`. Where `A` and `B` come without
    either, a share of each is held out.

    Args:
        root: Of the data set.
        split: Share of A and of B to hold out where no test pictures exist, in [0, 1).

    Raises:
        UserError: If no layout is found; the sentence says what was found and what is wanted.
    """
    if root.is_file():
        remedy = (
            "unpack it and name the folder" if root.suffix.lower() in (".zip", ".tar", ".gz") else "name its folder"
        )
        raise UserError(f"data.root={root} is a file: {remedy}")
    if not root.is_dir():
        raise UserError(
            f"there is no folder {absent(root)}: name another with data.root=DIR, or your domains with data.A and "
            "data.B"
        )
    ledger = Ledger()
    layout = _found(root, split, ledger)
    layout.ledger.merge(ledger)
    return compared(layout)


def _found(root: Path, split: float, ledger: Ledger) -> Layout:
    for train, looks in TRAINED_AND_LOOKED_AT:
        if _has(root, train):
            A, B = (list_images(root / name, ledger) for name in train)
            look = next((pair for pair in looks if _has(root, pair)), None)
            if look is None:
                return Layout({"trainA": A, "trainB": B}, [_no_test(root, looks)])
            return Layout({"trainA": A, "trainB": B, **_look(root, look, ledger)})
    if _has(root, BARE):
        A, B = (list_images(root / name, ledger) for name in BARE)
        look = next((pair for pair in TESTS_OF_BARE if _has(root, pair)), None)
        if look is None:
            return hold_out({"A": A, "B": B}, split)
        return Layout({"trainA": A, "trainB": B, **_look(root, look, ledger)})
    raise UserError(_what_is_wrong(root))


def given_layout(given: Mapping[str, str], split: float = 0.1) -> Layout:
    """List the parts that `data.A`, `data.B` and, where given, `data.test_A` and `data.test_B` name.

    Raises:
        UserError: If a domain is missing or names no picture.
    """
    require_both(given)
    ledger = Ledger()
    files = {key: list_source(f"data.{key}", value, ledger) for key, value in given.items()}
    if "test_A" not in files:
        layout = hold_out({"A": files["A"], "B": files["B"]}, split)
    else:
        layout = Layout({part: files[key] for part, key in SETTINGS.items()})
    layout.ledger.merge(ledger)
    return compared(layout)


def compared(layout: Layout) -> Layout:
    """Return the same layout, with a note about pictures that are both trained on and looked at.

    Raises:
        UserError: If a file belongs to both domains.
    """
    files = {part: {resolved(path): path for path in paths} for part, paths in layout.parts.items()}
    of = {d: {k: v for part, found in files.items() if part[-1] == d for k, v in found.items()} for d in "AB"}
    both = [of["A"][path] for path in of["A"] if path in of["B"]]
    if both:
        raise UserError(f"domains A and B share {len(both)} pictures, such as {both[0]}: name another domain")
    for domain in "AB":
        seen = files[f"train{domain}"].keys() & files.get(f"test{domain}", {}).keys()
        if seen:
            layout.notes.append(f"{len(seen)} pictures of domain {domain} to look at are trained on, too")
    return layout


def require_both(given: Mapping[str, str]) -> None:
    """Raise a UserError if a setting of one domain is given without that of the other."""
    for domain, other in (("A", "B"), ("B", "A")):
        if other in given and domain not in given:
            raise UserError(f"data.{other} is given without data.{domain}: name the pictures of both domains")
        if f"test_{domain}" in given and f"test_{other}" not in given:
            raise UserError(f"data.test_{domain} is given without data.test_{other}: name both, or neither")


def hold_out(domains: Mapping[str, Sequence[Path]], split: float) -> Layout:
    """Split each domain by its files' names, so that the split is the same on every machine."""
    parts: dict[str, list[Path]] = {}
    for domain, files in domains.items():
        different = len(set(files))  # a list may name a picture twice
        count = min(max(1, round(split * different)), different - 1) if split > 0 else 0
        order = sorted(set(files), key=lambda file: (_split_key(file), file.as_posix()))
        held = set(order[:count])
        parts[f"train{domain}"] = [path for path in files if path not in held]
        parts[f"test{domain}"] = [path for path in files if path in held]
    if not (parts["testA"] and parts["testB"]):
        train = {part: list(domains[part[-1]]) for part in ("trainA", "trainB")}
        return Layout(train, ["no picture is held out (data.split): the grids show training pictures"])
    counts = f"{len(parts['testA'])} of A and {len(parts['testB'])} of B"
    return Layout(parts, [f"held out to look at: {counts} (data.split={split:g})"])


def _split_key(path: Path) -> int:
    # Absolute, because `.` has no name: the working directory must not decide what is held out.
    return derive_seed("split", Path(os.path.abspath(path)).parent.name, path.name)


def _has(root: Path, names: Sequence[str]) -> bool:
    return all((root / name).is_dir() for name in names)


def _look(root: Path, pair: Sequence[str], ledger: Ledger) -> dict[str, list[Path]]:
    return {f"test{domain}": list_images(root / name, ledger) for domain, name in zip("AB", pair, strict=True)}


def _no_test(root: Path, looks: Sequence[Sequence[str]]) -> str:
    for pair in looks:
        for here, missing in (pair, pair[::-1]):
            if (root / here).is_dir():
                return f"{root} has {here} without {missing}, which is not used: the grids show training pictures"
    return f"{root} has no {looks[-1][0]} and {looks[-1][1]}: the grids show training pictures"


def _what_is_wrong(root: Path) -> str:
    """Return a sentence that says why no layout was found."""
    entries = sorted(path for path in root.iterdir() if not path.name.startswith("."))
    folders = [path.name for path in entries if path.is_dir()]
    if not entries:
        return f"{root} is empty: it wants {WANTED}"
    below = [
        path
        for path in entries
        if path.is_dir() and any(_has(path, pair) for pair in (("trainA", "trainB"), ("A", "B")))
    ]
    if below:
        return f"the pictures are one folder deeper: data.root={below[0]}"
    for first, second in (("trainA", "trainB"), ("A", "B")):
        for here, missing in ((first, second), (second, first)):
            if here in folders and missing not in folders:
                near = next((name for name in folders if name.lower() == missing.lower()), None)
                fix = f"rename {near} to {missing}" if near else f"add the folder {missing}, the other domain"
                return f"{root} has {here} but no {missing} (it holds {_names(folders)}): {fix}"
    for wanted in ("trainA", "trainB", "A", "B"):
        near = next(
            (name for name in folders if name.lower().replace("_", "").replace("-", "") == wanted.lower()), None
        )
        if near:
            return f"{root} holds {near}, but the name must be {wanted}: rename it, or give data.A=DIR data.B=DIR"
    if "train" in folders:
        inside = [path.name for path in sorted((root / "train").iterdir()) if path.is_dir()]
        if not inside and any(path.is_file() and is_picture(path) for path in (root / "train").iterdir()):
            return (
                f"{root / 'train'} holds pictures, not the folders A and B: if each shows a pair side by side, cut the "
                "pairs in two; else sort them into train/A and train/B"
            )
        return f"{root / 'train'} holds {_names(inside) or 'nothing'}, but no A and B: give data.A=DIR data.B=DIR"
    archives = [path.name for path in entries if path.suffix.lower() in (".zip", ".tar", ".gz")]
    if archives and not folders:
        return f"{root} holds {archives[0]}, which is still packed: unpack it there"
    loose = sum(path.is_file() and is_picture(path) for path in entries)
    if loose and not folders:
        return f"{root} holds {loose} pictures and no folders: sort the two domains into {root / 'A'} and {root / 'B'}"
    if len(folders) == 2:
        A, B = folders
        return f"{root} holds {A} and {B}, which may be the domains: data.A={root / A} data.B={root / B}"
    holds = _names(folders) or "no folder"
    return f"{root} has no folders {WANTED}; it holds {holds}: give data.A=DIR data.B=DIR"


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMES_SHOWN} more" if len(names) > MAX_NAMES_SHOWN else ""
    return ", ".join(names[:MAX_NAMES_SHOWN]) + more


def all_parts(root: Path) -> Layout:
    """List every part of a folder: valA as well as testA, of which training opens one.

    Returns: a layout with trainA, trainB and, where they exist, valA, valB, testA and testB.

    Raises:
        UserError: As `find_layout`.
    """
    for pattern in ("{}{}", "{}/{}"):
        parts = {f"{split}{d}": root / pattern.format(split, d) for split in ("train", "val", "test") for d in "AB"}
        if parts["trainA"].is_dir() and parts["trainB"].is_dir():
            ledger = Ledger()
            listed = {part: list_images(folder, ledger) for part, folder in parts.items() if folder.is_dir()}
            return Layout(listed, ledger=ledger)
    return find_layout(root, split=0)
