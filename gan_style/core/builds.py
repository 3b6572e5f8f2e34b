"""Torch and torchvision of different builds, which do not import together: recognised, and said in one sentence."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

# What torch says where torchvision's library, written for another build of it, was not loaded.
_MISSING_OPERATOR = "operator torchvision::nms does not exist"


def differ(error: BaseException) -> bool:
    """Check whether an error says that torchvision was made for another build of torch than the one that is here."""
    return isinstance(error, RuntimeError) and _MISSING_OPERATOR in str(error)


def sentence() -> str:
    """Return one sentence for the user, with the versions that are here."""
    both = " and ".join(f"{name} {_version(name)}" for name in ("torch", "torchvision"))
    return (
        f"{both} are of different builds, so torchvision does not import: install both from one index, "
        "uv pip install --reinstall --torch-backend auto torch torchvision"
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(no version)"
