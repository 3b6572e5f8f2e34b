"""The audit names what two trainings from one seed do not share."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gan_style.cli.audit import compare, counted, verdict
from gan_style.cli.main import main
from gan_style.data.datamodule import UnpairedDataModule
from gan_style.networks.blocks import ResidualBlock
from tests.conftest import BASICS, fitting, small_config
from tests.models.test_contract import MODELS

UNSEEDED = torch.Generator()


class Noise(nn.Module):
    """Adds noise of a generator that no seed reaches."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.randn(x.shape, generator=UNSEEDED)


def command(*options: str) -> int:
    model = "model=perceptual_gan"
    return main(["audit", *BASICS, "trainer=cpu", "data.num_workers=0", *fitting(model), model, *options])


@pytest.mark.parametrize("model", MODELS)
def test_every_model_repeats(model: str) -> None:
    finding = compare(small_config(f"model={model}", "trainer=cpu", "data.num_workers=0"), 1)
    assert finding["first"] is None
    assert finding["same"]
    assert set(finding["compared"]) >= {"weight", "batch", "loss", "gradient"}


def test_a_module_with_noise_of_its_own_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = ResidualBlock.__init__

    def with_noise(self: ResidualBlock, *arguments: Any, **named: Any) -> None:
        made(self, *arguments, **named)
        self.layers.insert(1, Noise())

    monkeypatch.setattr(ResidualBlock, "__init__", with_noise)
    finding = compare(small_config("model=cyclegan", "trainer=cpu", "data.num_workers=0"), 1)
    assert not finding["same"]
    first = finding["first"]
    assert first["iteration"] == 1
    assert first["kind"] == "output"
    assert first["call"] == 1
    assert first["path"].startswith("G_")
    assert first["path"].endswith(".layers.1")
    assert first["path"] in verdict(finding)


def test_an_unseeded_augmentation_is_the_batch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    transfer = UnpairedDataModule.on_after_batch_transfer

    def brighter(self: UnpairedDataModule, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        batch = transfer(self, batch, dataloader_idx)
        return {k: v + random.random() if torch.is_tensor(v) and v.is_floating_point() else v for k, v in batch.items()}

    monkeypatch.setattr(UnpairedDataModule, "on_after_batch_transfer", brighter)
    out = tmp_path / "audit.json"
    assert command("--iterations", "1", "--json", str(out)) == 1
    finding = json.loads(out.read_text())
    assert (finding["first"]["iteration"], finding["first"]["kind"]) == (1, "batch")
    assert "differs: iteration 1, the batch" in capsys.readouterr().out


def test_what_repeats_exits_with_0_and_leaves_no_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("--iterations", "1") == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("same: 1 iteration twice from seed 0")
    assert [counted(2, kind) for kind in ("batch", "loss", "weight")] == ["2 batches", "2 losses", "2 weights"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("model=cyclegam", "model=cyclegam is not known"),
        ("trainer.max_stepz=1", "trainer.max_stepz is not a known key"),
        ("resume=last", "leave resume out"),
        ("trainer.compile=default", "leave it out of an audit"),
    ],
)
def test_a_mistake_is_one_sentence(word: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "data=tiny", word]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


def test_no_iterations_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "data=tiny", "--iterations", "0"]) == 2
    assert "give 1 or more" in capsys.readouterr().err
