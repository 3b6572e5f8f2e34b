"""`make docs`: the site, from README, docs/, the notes of experiments, the configs and the docstrings.

    build/pages/docs    the pages as they are given to Zensical: links between them turned, keys and API written
    build/pages/site    the site; index.html opens from a disk and asks no other machine for anything

The Markdown that people read in the repository is the source of every page; nothing is written twice.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from latex2mathml.converter import convert

from pages import keys

ROOT = Path(__file__).parents[1]
HERE = Path(__file__).parent
PICTURES = (".jpg", ".png", ".svg")
MOVED = {  # file of the repository -> page; those of docs/ and the notes of experiments are found
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "LICENSE": "LICENSE.txt",
    "data/README.md": "data.md",
    "experiments/README.md": "experiments.md",
}
LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\[\]]*\])*\])\(([^()\s]+)\)")
FENCE = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"^<!--.*?-->\n?", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:(?<=\n\n)|(?<=-->\n))(?: {4}.*\n(?:[ \t]*\n(?= {4}))*)+")
INLINE_MATH = re.compile(r"\$`([^`]+)`\$")
MATH = re.compile(r"^```math\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def main() -> int:
    """Build the site and look at every link in it; the exit status."""
    folder = ROOT / "build" / "pages"
    site = build(folder)
    problems = [*broken(site), *outside(site)]
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        count = len([*site.rglob("*.html")])
        print(f"{site / 'index.html'}: {count} pages, no broken link, no request to another machine")
    return 1 if problems else 0


def build(folder: Path) -> Path:
    """Lay the pages out in a folder, and build the site in it.

    Returns: the folder of the site.

    Raises:
        subprocess.CalledProcessError: Zensical has a warning.
    """
    lay_out(folder)
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    subprocess.run(command, cwd=folder, check=True, env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"})
    return folder / "site"


def lay_out(folder: Path) -> None:
    """Write what the site is built from into a new folder."""
    shutil.rmtree(folder, ignore_errors=True)
    docs = folder / "docs"
    shutil.copytree(HERE / "assets", docs / "assets")
    pages = places()
    for source, place in pages.items():
        target = docs / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.endswith(".md"):
            text = (ROOT / source).read_text(encoding="utf-8")
            target.write_text(page(text, source, pages), encoding="utf-8")
        else:
            shutil.copyfile(ROOT / source, target)
    written = dict(keys.pages(ROOT / "conf"))
    for name, text in written.items():
        (docs / name).write_text(with_links(text, pages), encoding="utf-8")
    notes = [place for place in pages.values() if place.startswith("notes/") and place.endswith("README.md")]
    settings = (HERE / "mkdocs.yml").read_text(encoding="utf-8")
    settings = settings.replace("[ROOT]", f"[{str(ROOT)!r}]").replace(
        "KEYS\n", _entries(["Keys:"], 6) + _entries(written, 10)
    )
    settings = settings.replace("NOTES\n", _entries(notes, 6))
    (folder / "mkdocs.yml").write_text(settings, encoding="utf-8")


def _entries(names: list[str], spaces: int) -> str:
    return "".join(f"{' ' * spaces}- {name}\n" for name in names)


def places() -> dict[str, str]:
    """Return file of the repository -> its place among the pages."""
    found = dict(MOVED)
    for path in sorted((ROOT / "docs").rglob("*")):
        if path.suffix in (".md", *PICTURES):
            found[path.relative_to(ROOT).as_posix()] = path.relative_to(ROOT / "docs").as_posix()
    for path in sorted((ROOT / "experiments").glob("20*/*")):
        if path.suffix in (".md", *PICTURES):
            found[path.relative_to(ROOT).as_posix()] = f"notes/{path.parent.name}/{path.name}"
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        found[path.relative_to(ROOT).as_posix()] = f"notebooks/{path.name}"
    found["pages/api.md"] = "api.md"
    return found


def page(text: str, source: str, pages: Mapping[str, str]) -> str:
    """Turn a document of the repository into a page: its links, its equations, its commands as blocks to copy."""
    fences: list[str] = []

    def keep(block: str) -> str:
        fences.append(block)
        return f"\x00{len(fences) - 1}\x00"

    text = FENCE.sub(lambda match: keep(_equation(match[0])), text)
    text = INDENTED.sub(lambda match: keep(_fenced(match, text)) + "\n", text)
    text = INLINE_MATH.sub(lambda match: keep(f"<span>{convert(match[1])}</span>"), text)
    text = COMMENT.sub("", text)
    text = LINK.sub(lambda match: f"{match[1]}({turned(match[2], source, pages)})", text)
    text = re.sub(r"\[([^\[\]]+)\]\(\)", r"\1", text)
    return re.sub("\x00(\\d+)\x00", lambda match: fences[int(match[1])], text)


def _fenced(match: re.Match[str], text: str) -> str:
    """Write an indented block as a fenced one: of commands, or of plain text where a comment says that it is none."""
    before = text[: match.start()].rstrip().rpartition("\n")[2]
    source = textwrap.dedent(match[0]).rstrip()
    if before.startswith("<!-- not code"):
        return f"```text\n{source}\n```\n"
    return f"```sh\n{_with_near_comments(source)}\n```\n"


def _with_near_comments(commands: str) -> str:
    """Move the comments behind commands as far to the left as they all can go: a page is narrower than a file."""
    lines = [re.split(r"  +(?=# )", line, maxsplit=1) for line in commands.splitlines()]
    width = max((len(line[0]) for line in lines if len(line) == 2), default=0)
    return "\n".join("  ".join([line[0].ljust(width), line[1]]) if len(line) == 2 else line[0] for line in lines)


def _equation(block: str) -> str:
    """Write a block of TeX as MathML, which browsers know by themselves."""
    match = MATH.fullmatch(block)
    return f'<div class="equation">{convert(match[1].strip(), display="block")}</div>\n' if match else block


def turned(link: str, source: str, pages: Mapping[str, str]) -> str:
    """Return a link of a document as one between pages.

    Returns: the link; "" for a file of the repository that is no page, where nobody says where the repository is.
    """
    parts = urlsplit(link)
    if parts.scheme or parts.netloc or not parts.path:
        return link
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), unquote(parts.path)))
    if target in pages:
        place = posixpath.relpath(pages[target], posixpath.dirname(pages[source]) or ".")
        return f"{place}#{parts.fragment}" if parts.fragment else place
    if not (ROOT / target).exists():
        return link  # which is then found broken
    return f"{repository()}/blob/main/{target}" if repository() else ""


def repository() -> str:
    """Return the address of the repository, as the package's metadata has it; "" where they have none."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project.get("urls", {}).get("Repository", "")).rstrip("/")


def with_links(text: str, pages: Mapping[str, str]) -> str:
    """Link the documents that comments of configs name, such as (docs/recipes.md)."""
    known = "|".join(re.escape(source) for source in pages if source.endswith(".md"))
    return re.sub(rf"(?<![\w/\[])({known})(#[\w-]+)?", lambda m: f"[{m[1]}]({pages[m[1]]}{m[2] or ''})", text)


# What is wrong with a built site


class _Seen(HTMLParser):
    """The links, the places that can be linked, and the files that a browser would load."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Take note of a tag."""
        found = {name: value or "" for name, value in attributes}
        self.ids |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        loads = {"src", "srcset", "poster", "data"} | ({"href"} if tag == "link" and _is_loaded(found) else set())
        self.loaded += [found[name] for name in sorted(loads & found.keys()) if tag != "div"]


def _is_loaded(attributes: Mapping[str, str]) -> bool:
    return not {*attributes.get("rel", "").split()} & {"canonical", "next", "prev", "alternate"}


def broken(site: Path) -> Iterator[str]:
    """Yield a sentence for every link within the site, and every file that it loads, that is not there."""
    seen = {path.resolve(): _Seen(path) for path in sorted(site.rglob("*.html"))}
    for path, found in seen.items():
        for link in (*found.links, *found.loaded):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or path.name == "404.html":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                yield f"{path.relative_to(site.resolve())}: {link} is not there"
            elif parts.fragment and target in seen and unquote(parts.fragment) not in seen[target].ids:
                yield f"{path.relative_to(site.resolve())}: {link} has no such place"


def outside(site: Path) -> Iterator[str]:
    """Yield a sentence for every file of another machine that a page or a style sheet would load."""
    for path in sorted(site.rglob("*.html")):
        for link in _Seen(path).loaded:
            if urlsplit(link).netloc:
                yield f"{path.relative_to(site)} loads {link}"
    for path in sorted(site.rglob("*.css")):
        for link in re.findall(r"(?:url\(|@import\s+)[\"']?((?:https?:)?//[^\"')]+)", path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(site)} loads {link}"


if __name__ == "__main__":
    sys.exit(main())
