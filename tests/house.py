"""The package as a house: which files import which, counted. `python -m tests.house [FOLDER]` prints the counts.

A room is a folder, or a file at the root of the package, which lies in none. Imports inside functions count, too;
those that only a type checker sees do not, and the names that a package imports when they are asked for (`PLACES`) do.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

Graph = dict[str, set[str]]
LONG = 350  # lines of a file, after which it is worth asking whether it is about one thing


class House:
    """The files of a package and their imports.

    Args:
        package: its folder.
    """

    def __init__(self, package: Path) -> None:
        self.package = package
        self.files = {self._dotted(path): path for path in sorted(package.rglob("*.py"))}

    def _dotted(self, path: Path) -> str:
        parts = path.relative_to(self.package.parent).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @cached_property
    def imports(self) -> Graph:
        """Module -> modules of the package that it imports."""
        return {name: self._imported(path) - {name} for name, path in self.files.items()}

    def _imported(self, path: Path) -> set[str]:
        tree = ast.parse(path.read_text())
        unseen = {id(node) for one in ast.walk(tree) if _is_for_types(one) for node in ast.walk(one)}
        found = set()
        for node in ast.walk(tree):
            if id(node) in unseen:
                continue
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.value, ast.Dict)
                and ast.unparse(node.targets[0]) == "PLACES"
            ):  # imported when asked for
                package = self._dotted(path)
                found |= {f"{package}.{place}" for place in ast.literal_eval(node.value).values()}
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                whole = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= {name if name in self.files else node.module for name in whole}
        return found & self.files.keys()

    def room(self, module: str) -> str:
        """The folder of a module below the package; a file at the root is a room by itself."""
        path = self.files[module].relative_to(self.package)
        return ".".join(path.parent.parts) or path.stem

    @cached_property
    def root_files(self) -> list[str]:
        return sorted(path.name for path in self.package.glob("*.py"))

    @cached_property
    def packages(self) -> list[str]:
        return sorted({path.relative_to(self.package).parts[0] for path in self.files.values()} - {*self.root_files})

    @cached_property
    def rooms(self) -> Graph:
        """Room -> rooms that it imports."""
        found: Graph = {self.room(module): set() for module in self.files}
        for module, others in self.imports.items():
            found[self.room(module)] |= {self.room(other) for other in others} - {self.room(module)}
        return found

    @cached_property
    def doors(self) -> Graph:
        """Package -> packages that it imports."""
        found: Graph = {package: set() for package in self.packages}
        for room, others in self.rooms.items():
            one = room.split(".")[0]
            if one in found:
                found[one] |= ({other.split(".")[0] for other in others} & found.keys()) - {one}
        return found

    def notes(self) -> list[str]:
        """What is worth a look: files that are long."""
        lengths = {path.relative_to(self.package): path.read_text().count("\n") for path in self.files.values()}
        return [
            f"note: {path} has {lines} lines: is it about one thing?" for path, lines in lengths.items() if lines > LONG
        ]

    def unused(self, *elsewhere: Path) -> list[str]:
        """Functions and classes of modules that no file names but the line that defines them.

        Args:
            elsewhere: files beside the package that may name them, such as configs.
        """
        texts = {path: path.read_text() for path in (*self.files.values(), *elsewhere)}
        count = Counter(word for text in texts.values() for word in re.findall(r"\w+", text))
        found = []
        for name, path in self.files.items():
            defined = [one for one in ast.parse(texts[path]).body if isinstance(one, ast.FunctionDef | ast.ClassDef)]
            found += [f"{name}.{one.name}" for one in defined if count[one.name] == 1 and one.name[:2] != "__"]
        return found

    def counts(self) -> dict[str, int]:
        return {
            "files": len(self.files),
            "files at the root": len(self.root_files),
            "packages": len(self.packages),
            "rooms (folders, and files at the root)": len(self.rooms),
            "arrows between rooms": sum(map(len, self.rooms.values())),
            "floors of rooms (longest chain of imports)": floors(self.rooms),
            "arrows between packages": sum(map(len, self.doors.values())),
            "floors of packages": floors(self.doors),
            "circles of files": len(circles(self.imports)),
            "circles of rooms": len(circles(self.rooms)),
        }


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def components(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Strongly connected parts, each after all that it reaches (Tarjan 1972)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(one: str) -> None:
        order[one] = low[one] = len(order)
        stack.append(one)
        for other in sorted(graph[one]):
            if other not in order:
                visit(other)
                low[one] = min(low[one], low[other])
            elif other in stack:
                low[one] = min(low[one], order[other])
        if low[one] == order[one]:
            part = [stack.pop()]
            while part[-1] != one:
                part.append(stack.pop())
            found.append(sorted(part))

    for one in sorted(graph):
        if one not in order:
            visit(one)
    return found


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """What can only be imported together."""
    return [part for part in components(graph) if len(part) > 1]


def floors(graph: Mapping[str, set[str]]) -> int:
    """Length of the longest chain of imports; a circle is one floor."""
    height: dict[str, int] = {}
    for part in components(graph):
        below = {other for one in part for other in graph[one]} - {*part}
        height |= dict.fromkeys(part, 1 + max((height[other] for other in below), default=0))
    return max(height.values())


def main() -> None:
    package = Path(sys.argv[1] if len(sys.argv) > 1 else "gan_style").resolve()
    house = House(package)
    for name, count in house.counts().items():
        print(f"{count:5}  {name}")
    for note in house.notes():
        print(note)
    for name, graph in (("files", house.imports), ("rooms", house.rooms)):
        for part in circles(graph):
            print(f"circle of {name}: {', '.join(part)}")


if __name__ == "__main__":
    main()
