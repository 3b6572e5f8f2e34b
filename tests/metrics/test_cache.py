"""Kept features: the same to the last bit, whole under two writers, and not trusted where they are broken."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from gan_style.metrics.cache import FeatureCache, default_folder

KEY = {"pictures": "abc", "extractor": "random0", "size": 64}


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    cache, features = FeatureCache(tmp_path / "deep" / "features"), torch.randn(5, 3)
    assert cache.get(KEY, 5) is None
    cache.put(KEY, features)
    found = cache.get(KEY, 5)
    assert found is not None
    assert torch.equal(found, features)
    assert cache.get(KEY | {"size": 65}, 5) is None
    assert cache.get(KEY, 6) is None
    assert [path.suffix for path in cache.folder.iterdir()] == [".pt"], "nothing half-written is left"


@pytest.mark.parametrize("content", ["cut", "text", "nan", "other", "empty"])
def test_a_broken_file_counts_as_none(tmp_path: Path, content: str) -> None:
    cache = FeatureCache(tmp_path)
    cache.put(KEY, torch.randn(5, 3))
    path = cache.path(KEY)
    whole = path.read_bytes()
    if content == "nan":
        torch.save(torch.full((5, 3), torch.nan), path)
    elif content == "other":
        torch.save({"features": torch.zeros(5, 3)}, path)
    else:
        path.write_bytes({"cut": whole[: len(whole) // 2], "text": b"no features", "empty": b""}[content])
    assert cache.get(KEY, 5) is None
    cache.put(KEY, torch.ones(5, 3))
    assert cache.get(KEY, 5) is not None


def test_many_writers_of_one_key(tmp_path: Path) -> None:
    features = torch.randn(200, 50)

    def work(_: int) -> bool:
        cache = FeatureCache(tmp_path)
        cache.put(KEY, features)
        found = cache.get(KEY, 200)
        return found is not None and torch.equal(found, features)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(40)))
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    FeatureCache(tmp_path / "file").put(KEY, torch.zeros(2, 2))
    assert "features cannot be kept" in capsys.readouterr().err


def test_where_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_folder() == Path("/somewhere/gan_style/features")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_folder() == Path.home() / ".cache" / "gan_style" / "features"
