"""Metadata that hang on where the project lives, for `pyproject.toml`: addresses, and the README of an index page.

No file says where the repository is. A build that knows, as a release on a forge does, gives GAN_STYLE_URL, or has
GITHUB_SERVER_URL and GITHUB_REPOSITORY. Then the links of the README to files of the repository are absolute, since an
index shows that page alone, and the addresses are among the metadata. Else neither is made up.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://|#|mailto:)([^)\s]+)\)")


class Addresses(MetadataHookInterface):
    """Hook that gives `readme` and `urls`."""

    def update(self, metadata: dict[str, Any]) -> None:
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        if address := home():
            text = absolute(text, f"{address}/blob/main/", f"{address}/raw/main/")
            metadata["urls"] = {
                "Homepage": address,
                "Documentation": f"{address}/tree/main/docs",
                "Changelog": f"{address}/blob/main/CHANGELOG.md",
                "Issues": f"{address}/issues",
            }
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def home() -> str:
    """Return the address of the repository, as far as the environment of this build says it."""
    server, name = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
    return (os.environ.get("GAN_STYLE_URL") or (f"{server}/{name}" if server and name else "")).rstrip("/")


def absolute(text: str, pages: str, files: str) -> str:
    """Make the relative links of a Markdown text absolute.

    Args:
        text: of the page.
        pages: begins the addresses of links.
        files: begins those of pictures.
    """
    return LINK.sub(lambda link: f"{link[1]}[{link[2]}]({files if link[1] else pages}{link[3]})", text)
