"""Send a folder of pictures to `gan-style serve`, several at a time; the standard library alone.

python experiments/serve_client.py http://127.0.0.1:8000/translate photos/ out/ --at-once 4
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn


def translate(url: str, image: bytes) -> bytes:
    """The bytes of a picture file to those of its translation as PNG.

    Raises:
        ValueError: the server refused it; the message is the server's.
    """
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=image, method="POST"), timeout=120) as answer:
            body: bytes = answer.read()
            return body
    except urllib.error.HTTPError as error:
        raise ValueError(json.loads(error.read())["error"]) from error


class Parser(argparse.ArgumentParser):
    """Parser whose errors are one sentence, as those of `gan_style.core.terminal`, which needs the package."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"gan_style: {message}: see {self.prog} --help\n")


def main() -> int:
    parser = Parser(description="Translate a folder of pictures by a server.")
    parser.add_argument("url")
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--at-once", type=int, default=4, metavar="N")
    parsed = parser.parse_args()
    if parsed.at_once < 1:
        parser.error(f"--at-once {parsed.at_once} is none: give 1 or more")
    if not parsed.source.is_dir():
        parser.error(f"{parsed.source} is no folder")
    parsed.out.mkdir(parents=True, exist_ok=True)
    paths = sorted(path for path in parsed.source.iterdir() if path.is_file())

    def one(path: Path) -> str | None:
        try:
            (parsed.out / f"{path.stem}.png").write_bytes(translate(parsed.url, path.read_bytes()))
        except (ValueError, OSError) as error:
            return f"{path}: {error}"
        return None

    start = time.perf_counter()
    with ThreadPoolExecutor(parsed.at_once) as pool:
        failed = [sentence for sentence in pool.map(one, paths) if sentence]
    for sentence in failed:
        print(f"gan_style: {sentence}", file=sys.stderr)
    done, seconds = len(paths) - len(failed), time.perf_counter() - start
    print(f"{done} of {len(paths)} pictures into {parsed.out}, {done / max(seconds, 1e-9):.2f} a second")
    return 2 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
