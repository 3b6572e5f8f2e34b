"""Which rule for best.ckpt finds the best checkpoint of a run? Trains, then reads the answer from metrics.csv.

python experiments/best_rule.py SEED ITERATIONS VALIDATIONS FOLDER [key=value ...]
python experiments/best_rule.py table FOLDER ...
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pytorch_lightning as pl
import torch

from gan_style.core.terminal import Parser
from gan_style.data.image_sets import SceneImages
from gan_style.data.values import ValueRange
from gan_style.metrics.table import row_of
from gan_style.metrics.truth import psnr
from gan_style.training.engine.engine import method_of

FIRST = 100_000  # scenes that neither training nor validation sees
TRUE = "fresh/psnr"


class FreshScenes(pl.Callback):
    """PSNR of scenes that no rule has seen, of the weights that a validation looks at, mean over directions."""

    def __init__(self, count: int = 64, size: int = 64) -> None:
        photos, paintings = (SceneImages(0, FIRST, count, size, domain) for domain in "AB")
        kind = ValueRange()
        self.photos, self.paintings = (
            torch.stack([kind.normalise(kind.as_tensor(images[i])) for i in range(count)])
            for images in (photos, paintings)
        )

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        method = method_of(pl_module)
        means = []
        for direction in method.directions:
            source, truth = (self.photos, self.paintings) if direction == "A2B" else (self.paintings, self.photos)
            made = torch.cat([method.translate(part, direction) for part in source.split(8)])
            means.append(float(psnr(made, truth).mean()))
        for logger in trainer.loggers:
            logger.log_metrics({TRUE: sum(means) / len(means)}, step=method.iteration)


def train(seed: int, iterations: int, validations: int, folder: str, *words: str) -> None:
    """A run of the demo's networks with all scores in every validation."""
    import gan_style

    gan_style.train(
        "experiment=demo",
        "name=best-rule",
        f"seed={seed}",
        f"trainer.max_steps={iterations}",
        f"trainer.val_every={iterations // validations}",
        f"model.schedule.constant={iterations // 2}",
        f"model.schedule.decay={iterations // 2}",
        "callbacks.set_scores.metrics=[kid,frechet,cmmd,swd,precision,recall,density,coverage]",
        "callbacks.set_scores.draws=0",
        "+callbacks.fresh._target_=experiments.best_rule.FreshScenes",
        "allow=[experiments.]",
        *words,
        run_dir=folder,
    )


def table(*folders: str) -> None:
    """For each run and rule: what it chooses, and how far the true PSNR of that is below the best of the run."""
    for folder in folders:
        with open(Path(folder) / "metrics.csv", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row.get(TRUE)]
        true = [float(row[TRUE]) for row in rows]
        print(f"{folder}: {len(rows)} checkpoints from {min(true):.2f} to {max(true):.2f} dB")
        print(f"  {'rule':24} chooses   below the best   at worst, ended earlier   patience 3 ends at")
        rules = [name for name in rows[0] if name.startswith("val/") and name.count("/") == 1 and rows[0][name]]
        for rule in (*rules, "newest"):
            row = row_of(rule.removeprefix("val/"))
            sign = -1 if row is not None and not row.higher else 1
            values = [sign * float(row["iteration" if rule == "newest" else rule]) for row in rows]
            # index of the best, had the run ended after each validation
            best = [max(range(end), key=values.__getitem__) for end in range(1, len(rows) + 1)]
            gaps = [max(true[: end + 1]) - true[chosen] for end, chosen in enumerate(best)]
            ended = next((i for i, chosen in enumerate(best) if i - chosen >= 3), None)
            end = "-" if ended is None else rows[ended]["iteration"]
            print(f"  {rule:24} {rows[best[-1]]['iteration']:>7} {gaps[-1]:13.2f} dB {max(gaps):22.2f} dB {end:>20}")


def main() -> None:
    """Train, or print the table, as the words of the command say."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    if sys.argv[1:2] == ["table"]:
        parser.add_argument("table")
        parser.add_argument("folders", nargs="+", metavar="FOLDER", help="of a run that this program trained")
        folders = parser.parse_args().folders
        for folder in folders:
            if not (Path(folder) / "metrics.csv").is_file():
                parser.error(f"{folder} has no metrics.csv: give the folder of a run")
        table(*folders)
        return
    for name in ("SEED", "ITERATIONS", "VALIDATIONS"):
        parser.add_argument(name, type=int)
    parser.add_argument("FOLDER", help="of the run; its table is printed by: table FOLDER ...")
    parser.add_argument("words", nargs="*", metavar="key=value", help="of the training")
    given = parser.parse_args()
    train(given.SEED, given.ITERATIONS, given.VALIDATIONS, given.FOLDER, *given.words)


if __name__ == "__main__":
    main()
