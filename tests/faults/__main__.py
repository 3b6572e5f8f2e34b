"""`python -m tests.faults [--kills 50] [--only WORD]`: every fault, and the table of what survived it.

"Compared" counts the runs that went on to their end and were held against the undisturbed one: weights, optimisers,
pools, averages and rows. A run that is refused before it trains, or skipped, leaves nothing to compare.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import torch

from gan_style.training.trainer import quiet_lightning
from tests.faults.harness import Bench
from tests.faults.kinds import FAULTS, REPEATED


def main() -> int:
    """Run the faults and print a Markdown table; the exit status says whether all survived without a loss."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="of each kind of kill -9, half of them while it writes")
    parser.add_argument("--only", default="", help="faults whose name holds this word")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parsed = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.captureWarnings(True)
    torch.set_num_threads(1)  # threads do not survive a fork
    quiet_lightning()
    good = True
    print("| fault | tries | survived | compared | bit-equal | data lost | seconds | said |")
    print("|---|---:|---:|---:|---:|---:|---:|---|")
    with tempfile.TemporaryDirectory(prefix="gan_style-faults-") as folder:
        bench = Bench(Path(folder), seed=parsed.seed)
        for name, fault in FAULTS.items():
            if parsed.only not in name:
                continue
            tries, began = parsed.kills // 2 if name in REPEATED else 1, time.monotonic()
            survived, compared, equal, lost, said = 0, 0, 0, 0, ""
            for _ in range(tries):
                try:
                    outcome = fault(bench)
                except Exception:
                    traceback.print_exc()
                    continue
                survived, said = survived + 1, outcome.said.replace(folder, "...") or said
                if outcome.lost is not None:
                    compared, equal, lost = compared + 1, equal + (not outcome.lost), lost + len(outcome.lost)
                if outcome.lost:
                    print(outcome.lost[:5], file=sys.stderr)
            counts = f"{compared} | {equal} | {lost}" if compared else "nothing | - | -"
            print(f"| {name} | {tries} | {survived} | {counts} | {time.monotonic() - began:.0f} | {said} |", flush=True)
            good = good and tries == survived and compared == equal
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
