"""Look for inputs that break what reads files from elsewhere, guided by coverage: needs atheris (uv sync --group fuzz).

    python experiments/fuzz.py --minutes 3 --out runs/fuzz                  # every target, one after another
    python experiments/fuzz.py --minutes 60 --out runs/fuzz picture shard

Each target runs in a process of its own, with a bound on its memory, and begins from the valid inputs of
`tests/fuzz/valid.py` and from the known seeds. Inputs that brought new coverage are kept in OUT/TARGET/corpus, so that
a later run goes on from there. An input that breaks the target is written to OUT/TARGET/found; made small and copied
to `tests/fuzz/seeds/TARGET-what.bin` it is a test. The table at the end counts executions as libFuzzer reports them.
"""

from __future__ import annotations

import argparse
import importlib
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

# What guides the search. To instrument all of a large library takes minutes, and what it covers is not ours to mend.
INSTRUMENTED = ("gan_style", "PIL.PngImagePlugin", "PIL.TiffImagePlugin", "PIL.BmpImagePlugin", "PIL.JpegImagePlugin")
HEAVY = ("torch", "torchvision", "pytorch_lightning", "cv2", "albumentations", "tifffile", "pydicom", "av", "PIL.Image")
MEGABYTES = 3000  # of memory, libraries and all
LONGEST = 20_000  # bytes of an input
SLOWEST = 20  # seconds for one input


class Row(NamedTuple):
    """One target's run."""

    name: str
    seconds: float
    executions: int
    corpus: int
    edges: int
    found: int


def main() -> None:
    """Fuzz the targets of the command line and print the table."""
    parser = _parser()(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", help="default: all")
    parser.add_argument("--minutes", type=float, default=3.0, help="for each target; default 3")
    parser.add_argument("--out", type=Path, required=True, help="a folder for corpora and findings")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    if parsed.child:
        fuzz(parsed.child, parsed.out, parsed.minutes)
        return
    from tests.fuzz.targets import TARGETS

    unknown = set(parsed.targets) - set(TARGETS)
    if unknown:
        parser.error(f"there is no target {', '.join(sorted(unknown))}; there are: {', '.join(TARGETS)}")
    rows = [measured(name, parsed.out, parsed.minutes) for name in parsed.targets or TARGETS]
    print("\n| target | seconds | executions | inputs kept | edges covered | findings |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for row in rows:
        print(f"| {row.name} | {row.seconds:.0f} | {row.executions:,} | {row.corpus} | {row.edges} | {row.found} |")


def _parser() -> type[argparse.ArgumentParser]:
    """The parser's class. A child, whose words are ours, imports nothing of the package before it is instrumented."""
    if "--child" in sys.argv:
        return argparse.ArgumentParser
    from gan_style.core.terminal import Parser

    return Parser


def measured(name: str, out: Path, minutes: float) -> Row:
    """Run one target until its time is over; after a finding it starts again."""
    folder = out / name
    for part in ("corpus", "found"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    started, executions, edges = time.monotonic(), 0, 0
    while (left := minutes * 60 - (time.monotonic() - started)) > 5:
        command = [sys.executable, __file__, "--child", name, "--out", str(out), "--minutes", str(left / 60)]
        with open(folder / "log.txt", "w") as log:
            status = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT).returncode
        said = (folder / "log.txt").read_text(errors="replace")
        counts = [int(number) for number in re.findall(r"^#(\d+)\t", said, re.MULTILINE)]
        total = re.search(r"stat::number_of_executed_units:\s+(\d+)", said)
        executions += int(total[1]) if total else max(counts, default=0)
        edges = max([edges, *(int(number) for number in re.findall(r"cov: (\d+)", said))])
        if status == 0:
            break
        print(f"{name}: {_reason(said)}", flush=True)
        if not counts:  # it fails at once, and would again
            break
    found = len(list((folder / "found").iterdir()))
    return Row(name, time.monotonic() - started, executions, len(list((folder / "corpus").iterdir())), edges, found)


def _reason(log: str) -> str:
    lines = [line for line in log.splitlines() if re.match(r"\S*(Error|Broken|Exception)\b.*:|==\d+== ?ERROR", line)]
    return lines[0][:300] if lines else log[-300:]


def fuzz(name: str, out: Path, minutes: float) -> None:
    """One target in this process, by libFuzzer, until the time is over or it breaks."""
    import atheris

    for module in HEAVY:
        importlib.import_module(module)
    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        from tests.fuzz import targets
    folder, seeds = out / name, out / name / "begin"
    seeds.mkdir(exist_ok=True)
    known = [path.read_bytes() for path in sorted(targets.SEEDS.glob(f"{name}-*.bin"))]
    for number, data in enumerate([*targets.examples(name), *known]):
        (seeds / f"{number}").write_bytes(data)
    options = {
        "max_total_time": max(1, int(minutes * 60)),
        "max_len": max(LONGEST, *(path.stat().st_size for path in seeds.iterdir())),
        "rss_limit_mb": MEGABYTES,
        "malloc_limit_mb": MEGABYTES,
        "timeout": SLOWEST,
        "artifact_prefix": f"{folder / 'found'}/",
        "print_final_stats": 1,
    }
    words = [f"-{key}={value}" for key, value in options.items()]
    atheris.Setup([sys.argv[0], *words, str(folder / "corpus"), str(seeds)], lambda data: targets.feed(name, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
