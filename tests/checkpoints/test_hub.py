"""Folders of a hub: written, read, and downloaded by name."""

from __future__ import annotations

import json
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest

import gan_style
from gan_style.checkpoints import hub
from gan_style.core.errors import UserError
from tests.small_models import saved


def test_a_folder_of_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    translator = gan_style.load(saved(tmp_path / "a.ckpt", "model=cyclegan"), device="cpu")
    translator.save_pretrained(tmp_path / "hub" / "mine")
    folder = tmp_path / "hub" / "mine"
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert json.loads((folder / "config.json").read_text())["domains"]["A"]["name"] == "photo"
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: gan-style\n")
    assert "| method | CycleGAN |" in card
    image = np.random.default_rng(0).integers(0, 256, (21, 30, 3), np.uint8)
    expected = translator.translate(image, "B2A")
    assert np.array_equal(gan_style.from_pretrained(folder, device="cpu").translate(image, "B2A"), expected)

    asked = []

    def download(name: str, file: str) -> str:
        asked.append((name, file))
        return str(folder / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.chdir(tmp_path)
    assert np.array_equal(gan_style.from_pretrained("somebody/mine").translate(image, "B2A"), expected)
    assert asked == [("somebody/mine", "model.safetensors")]

    def refuse(*_: str) -> str:
        raise ConnectionError("no way out")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    for name, sentence in (
        ("somebody/mine", r"the hub does not give its model.safetensors \(no way out\)"),
        (tmp_path, "holds no model.safetensors"),
        (folder / "config.json", "is a file: load it with gan_style.load"),
    ):
        with pytest.raises(UserError, match=sentence):
            gan_style.from_pretrained(name)


def test_a_card_leaves_nothing_open_that_is_known() -> None:
    about = {
        "config": {"model": {"_target_": "gan_style.models.cut.CUT"}},
        "domains": {letter: {"name": name} for letter, name in (("A", "horse"), ("B", "zebra"))},
        "preprocessing": {"image_size": 128},
        "iteration": 7,
        "best": {"rule": "lowest val/fid"},
        "weights": "averaged",
    }
    text = hub.card(about, "mine")
    for part in (
        "horse to zebra",
        "| trained at | 128 px |",
        "| chosen by | lowest val/fid |",
        "| weights | averaged |",
    ):
        assert part in text
