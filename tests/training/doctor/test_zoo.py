"""Each planted failure raises its own finding and no other; healthy trainings raise none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gan_style.core.config import build, config_dir
from gan_style.training.doctor.codes import CODES
from tests.conftest import small_config
from tests.training.doctor.zoo import ZOO, Noisy, Tiny, batch_of, observe, renditions, visit

# An untrained teacher gives every picture the same grey: its student has collapsed, as the doctor says.
MODELS = sorted({p.stem for p in (config_dir() / "model").glob("*.yaml")} - {"distill"})
QUICK = ("adain", "cut", "cyclegan")  # a style, a contrast, a cycle

# An untrained decoder may begin as a negative, and 60 iterations at MicroAST's rate do not turn it: the doctor is right
# to say so. `experiment=instant` begins with the content's colours, and the checks begin after that.
AS_RECOMMENDED = {"microast": ["model.pretrain=30"]}


def scenes(config: dict[str, Any]) -> Callable[[int], dict[str, Any]]:
    """The batches of a config's data."""
    data = build(config["data"])
    data.setup()

    def batch(iteration: int) -> dict[str, Any]:
        items = [data.train_set[2 * iteration + k] for k in range(data.batch_size)]
        images = {domain: torch.stack([item[domain] for item in items]) for domain in "AB"}
        return data.on_after_batch_transfer(images, 0)

    return batch


def test_every_failure_raises_its_own_finding_and_no_other(tmp_path: Path) -> None:
    """The confusion table: planted in rows, found in columns."""
    table = {name: {row["code"] for row in visit(name, tmp_path / name)} for name in ZOO}
    width = max(map(len, ZOO)) + 2
    print("\n" + " " * width + "  ".join(code[:9].ljust(9) for code in CODES))
    for name, found in table.items():
        print(name.ljust(width) + "  ".join(("x" if code in found else ".").ljust(9) for code in CODES))
    assert set(ZOO) == {"healthy", *CODES}
    for name, found in table.items():
        assert found == {name} - {"healthy"}, name


def test_noise_that_is_used_is_no_finding(tmp_path: Path) -> None:
    torch.manual_seed(3)
    model = Tiny(Noisy(0.02))
    assert observe(model, batch_of, tmp_path, scores=renditions) == []
    assert 0.004 < renditions(model.eval())["val/A2B/rendition_difference"] < 0.03


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in MODELS]
)
def test_a_healthy_training_raises_none(name: str, tmp_path: Path) -> None:
    config = small_config(f"model={name}", "data.batch_size=2", *AS_RECOMMENDED.get(name, ()))
    torch.manual_seed(0)
    model = build(config["model"], channels_A=3, channels_B=3)
    found = observe(model, scenes(config), tmp_path, iterations=60, every=10)
    assert found == [], [f"{row['code']} {row['where']}: {row['seen']}" for row in found]
