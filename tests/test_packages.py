"""What the packages show of their modules: `from gan_style.losses import gram_matrix`."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

SHOWN = {
    name: getattr(importlib.import_module(f"gan_style.{name}"), "__all__", None)
    or list(importlib.import_module(f"gan_style.{name}").PLACES)
    for name in ("losses", "networks", "metrics", "models")
}


@pytest.mark.parametrize(("package", "name"), [(package, name) for package, names in SHOWN.items() for name in names])
def test_a_name_is_the_one_of_its_module(package: str, name: str) -> None:
    module = importlib.import_module(f"gan_style.{package}")
    shown = getattr(module, name)
    assert shown.__module__.startswith(f"gan_style.{package}.")
    assert shown.__name__ == name
    # a name that is a module's, too, would be one or the other, by what was imported before
    assert not (Path(str(module.__file__)).parent / f"{name}.py").exists()


def test_another_name_is_none() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        getattr(importlib.import_module("gan_style.metrics"), "nothing")  # noqa: B009 (a statement of its own)
    with pytest.raises(ImportError):
        from gan_style.models import nothing  # noqa: F401
