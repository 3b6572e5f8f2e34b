"""The last lines of a run."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gan_style.training.run_folder import summarise


@pytest.mark.parametrize(("honesty", "shown"), [(1.0, False), (0.97, False), (None, False), (0.6, True)])
def test_honesty_is_shown_where_it_says_something(
    honesty: float | None, shown: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores: dict[str, Any] = {"A2B": {"psnr": {"value": 20.0}, "cycle_honesty": {"value": honesty}}}
    (tmp_path / "scores.json").write_text(json.dumps({"scores": scores, "baselines": {}}))
    keeper: Any = SimpleNamespace(best={"iteration": 3, "rule": "newest"}, folder=tmp_path, ended_early="")
    summarise(tmp_path, keeper)
    out = capsys.readouterr().out
    assert "A2B psnr" in out
    assert ("cycle_honesty" in out) == shown
