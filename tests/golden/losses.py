"""The runs whose losses are kept."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from gan_style.core.config import config_dir
from tests.conftest import small_config, trained_into

FOLDER = Path(__file__).parent
ITERATIONS = 10  # the last six of which may show past fakes
MODELS = sorted(p.stem for p in (config_dir() / "model").glob("*.yaml"))


def record(model: str, run_dir: Path) -> str:
    """Train ITERATIONS iterations and return their losses as CSV."""
    precise = [f"model={model}", "trainer.precision=64-true", f"trainer.max_steps={ITERATIONS}"]
    if "pool_size" in small_config(*precise)["model"]:
        precise.append("model.pool_size=4")  # so that old fakes come back within the run
    trained_into(run_dir, *precise)
    with open(run_dir / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = [name for name in rows[0] if name == "iteration" or name.startswith("train/")]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
