"""Two domains in WebDataset shards."""

from __future__ import annotations

import glob
import re
from pathlib import Path

from gan_style.core.errors import UserError
from gan_style.core.paths import absent, expanded
from gan_style.core.sizes import Size
from gan_style.data.layout import SETTINGS, Layout, require_both
from gan_style.data.ledger import Ledger
from gan_style.data.shard_writer import UNFINISHED
from gan_style.data.shards import ShardImages, open_shards
from gan_style.data.sources import matches
from gan_style.data.stored import StoredDataModule

BRACES = re.compile(r"\{([^{}]*)\}")
RANGE = re.compile(r"(\d+)\.\.(\d+)")
NUMBER = re.compile(r"-(\d+)\.tar")
MAKE = "gan-style shards NAME_OR_DIR OUT writes them"


class ShardsDataModule(StoredDataModule):
    """Data module of pictures in tars, for sets too large for one folder or one disk.

    `root` holds trainA-000000.tar and so on, trainB, and testA and testB to look at, as `gan-style shards` writes
    them. `A`, `B`, `test_A` and `test_B` take a tar, a folder of tars, a pattern, or a brace range such as
    `/disk{1,2}/photos-{000..041}.tar`. The order is that of the names.

    A shard is read by random access, not streamed: a stream could not show all pictures equally often to several
    processes, nor continue where it stopped.
    """

    def layout(self) -> Layout:
        if self.root is not None:
            return find_shard_layout(self.root)
        require_both(self.given)
        found = {key: find_shards(f"data.{key}", value) for key, value in self.given.items()}
        if set(found["A"]) & set(found["B"]):
            raise UserError(f"data.A and data.B both name {found['A'][0]}: name another domain")
        parts = {part: found[key] for part, key in SETTINGS.items() if key in found}
        notes = (
            [] if "testA" in parts else ["data.test_A and data.test_B are not given: the grids show training pictures"]
        )
        return Layout(parts, notes)

    def open(
        self, part: str, paths: list[Path], min_size: Size | None, notes: list[str], ledger: Ledger
    ) -> ShardImages:
        return open_shards(part, paths, self.on_error, min_size, notes, ledger, self.values[part[-1]])


def find_shard_layout(root: Path) -> Layout:
    """List the shards of each part in a folder.

    Raises:
        UserError: If there are none, or some are missing.
    """
    if not root.is_dir():
        if ":/" in str(root):  # Path drops the second slash of a URL
            raise _remote("data.root", str(root))
        raise UserError(
            f"there is no folder {absent(root)}: name one with data.root=DIR ({MAKE}), or data.A and data.B"
        )
    if (root / UNFINISHED).exists():
        raise UserError(f"{root} is not finished (it holds {UNFINISHED}): remove it and write it again")
    parts = {part: sorted(root.glob(f"{part}-*.tar")) for part in SETTINGS}
    for part in ("trainA", "trainB"):
        if not parts[part]:
            raise UserError(
                f"{root} has no shards {part}-000000.tar and so on: {MAKE}, or name yours with data.A and data.B"
            )
    for part, paths in parts.items():
        numbers = {int(found[1]) for path in paths if (found := NUMBER.fullmatch(path.name.removeprefix(part)))}
        missing = sorted(set(range(max(numbers, default=-1) + 1)) - numbers)
        if missing:
            raise UserError(f"{root} lacks the shard {part}-{missing[0]:06d}.tar: copy it there again")
    if parts["testA"] and parts["testB"]:
        return Layout(parts)
    train = {part: parts[part] for part in ("trainA", "trainB")}
    return Layout(train, [f"{root} has no shards testA and testB: the grids show training pictures"])


def find_shards(key: str, value: str) -> list[Path]:
    """List the shards that a setting names.

    Args:
        key: The setting, such as `data.A`, for messages.
        value: A tar, a folder of tars, a pattern, or brace ranges, or several of these between braces.

    Raises:
        UserError: If one of them does not exist.
    """
    if "://" in value or value.startswith("pipe:"):
        raise _remote(key, value)
    if not value.strip():
        raise UserError(f"{key}= is empty: name a tar, a folder of tars, or a pattern")
    shards: list[Path] = []
    for pattern in expand(key, value):
        path = expanded(pattern)
        if path.is_dir():
            path /= "*.tar"
        found = sorted(set(matches(str(path)))) if glob.has_magic(str(path)) else [path]
        missing = [path for path in found or [path] if not path.is_file()]
        if missing:
            raise UserError(
                f"{key} names {absent(missing[0])}, but there is no such shard: check the path, or copy it there"
            )
        shards += found
    return shards


def expand(key: str, pattern: str) -> list[str]:
    """Expand braces as a shell does: `{a,b}` and `{000..041}`, which keeps leading zeros.

    Raises:
        UserError: If there is something else between braces.
    """
    braces = BRACES.search(pattern)
    if not braces:
        return [pattern]
    numbers = RANGE.fullmatch(braces[1])
    if numbers and int(numbers[1]) <= int(numbers[2]):
        choices = [str(n).zfill(len(numbers[1])) for n in range(int(numbers[1]), int(numbers[2]) + 1)]
    elif "," in braces[1]:
        choices = braces[1].split(",")
    else:
        raise UserError(f"{key} holds {braces[0]}, which is no range: write {{000..041}} or {{one,other}}")
    before, after = pattern[: braces.start()], pattern[braces.end() :]
    return [path for choice in choices for path in expand(key, f"{before}{choice}{after}")]


def _remote(key: str, value: str) -> UserError:
    return UserError(
        f"{key}={value} is not on a disk: copy or mount the shards, which are read at random places so that a run can "
        "be resumed exactly"
    )
