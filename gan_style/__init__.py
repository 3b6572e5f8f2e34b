"""Unpaired image translation and style transfer.

translator = gan_style.load("runs/.../best.ckpt")
picture = translator.translate("photo.jpg", direction="A2B")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gan_style.inference import LoadedTranslator

__version__ = "0.1.0"


def load(path: Any, *, device: str | None = None, ema: bool = True, **options: Any) -> LoadedTranslator:
    """A trained model from its checkpoint; see `gan_style.loading.load`, imported when it is called."""
    from gan_style import loading

    return loading.load(path, device=device, ema=ema, **options)


def from_pretrained(name: Any, *, device: str | None = None) -> LoadedTranslator:
    """A model from a folder that `save_pretrained` wrote, or from a repository of a hub; see `gan_style.hub`."""
    from gan_style import hub

    return hub.from_pretrained(name, device=device)
