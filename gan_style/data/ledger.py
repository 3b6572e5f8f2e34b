"""Notes on what a reader did with files beside reading them: one entry a kind, shown alike by every command.

A reader attaches a `Note` to a picture for whatever it leaves out, converts, lays over white, turns or drops. A
`Ledger` counts them over many files. An empty ledger means that nothing of the kind happened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePath
from typing import Any

NAMES_SHOWN = 3


class FileNote(UserWarning):
    """Warning of the Python API about what reading a file left out or changed."""


@dataclass(frozen=True)
class Note:
    """Note on one thing that a reader did with one file.

    Attributes:
        kind: What was done, such as "alpha composited over white"; for a file that was left out, what it is.
        remedy: What to do where that is not wanted; empty where there is nothing to do.
        left_out: Whether the file was left out altogether.
    """

    kind: str
    remedy: str = ""
    left_out: bool = False


FURTHER_PICTURES = Note("further frames or pages, of which the first is used", "save each as a file of its own")

NO_DATA_KEPT = Note("places without data, which the result keeps")


@dataclass
class Entry:
    """All notes of one kind.

    Attributes:
        kind: As of the notes.
        remedy: Likewise.
        left_out: Likewise.
        count: Number of files.
        names: Of the first few.
    """

    kind: str
    remedy: str
    left_out: bool
    count: int = 0
    names: list[str] = field(default_factory=list)
    seen: set[int] = field(default_factory=set, repr=False, compare=False)  # hashes of all names: a file counts once

    def sentence(self) -> str:
        """Return what happened, how often, to which files, and what to do."""
        shown = ", ".join("/".join(PurePath(name).parts[-2:]) for name in self.names)
        more = ", ..." if self.count > len(self.names) else ""
        remedy = f": {self.remedy}" if self.remedy else ""
        return f"{self.count} {'left out:' if self.left_out else 'with'} {self.kind} ({shown}{more}){remedy}"


class Ledger:
    """Notes on many files, counted by kind, in the order in which the kinds came up."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, bool], Entry] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ledger) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment] # it changes

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def add(self, name: object, notes: Iterable[Note]) -> None:
        """Count the notes of one file.

        Args:
            name: Of the file.
            notes: What its reader did.
        """
        for note in notes:
            entry = self._entries.setdefault((note.kind, note.left_out), Entry(note.kind, note.remedy, note.left_out))
            key = hash(str(name))
            if key in entry.seen:
                continue
            entry.seen.add(key)
            entry.count += 1
            if len(entry.names) < NAMES_SHOWN:
                entry.names.append(str(name))

    def merge(self, other: Ledger) -> None:
        """Add the entries of another ledger."""
        for entry in other:
            mine = self._entries.setdefault(
                (entry.kind, entry.left_out), Entry(entry.kind, entry.remedy, entry.left_out)
            )
            mine.count += len(entry.seen - mine.seen) if entry.seen else entry.count
            mine.seen |= entry.seen
            mine.names = list(dict.fromkeys(mine.names + entry.names))[:NAMES_SHOWN]

    def sentences(self) -> list[str]:
        """Return one line for each entry, the files left out first."""
        return [entry.sentence() for entry in sorted(self, key=lambda entry: not entry.left_out)]

    def as_json(self) -> list[dict[str, Any]]:
        """Return the entries as plain values."""
        return [{key: value for key, value in asdict(entry).items() if key != "seen"} for entry in self]

    @classmethod
    def of_json(cls, entries: Iterable[Mapping[str, Any]]) -> Ledger:
        """Build from what `as_json` returned."""
        ledger = cls()
        for one in entries:
            entry = Entry(str(one["kind"]), str(one["remedy"]), bool(one["left_out"]), int(one["count"]))
            entry.names = [str(name) for name in one["names"]][:NAMES_SHOWN]
            ledger._entries[entry.kind, entry.left_out] = entry
        return ledger
