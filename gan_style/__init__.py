"""Unpaired image translation and style transfer.

translator = gan_style.load("runs/.../best.ckpt")
picture = translator.translate("photo.jpg", direction="A2B")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gan_style.core.version import __version__ as __version__

if TYPE_CHECKING:
    from gan_style.inference.translator import LoadedTranslator


def load(path: Any, *, device: str | None = None, ema: bool = True, **options: Any) -> LoadedTranslator:
    """A trained model from its checkpoint; see `gan_style.inference.load.load`, imported when it is called."""
    from gan_style.inference import load as module

    return module.load(path, device=device, ema=ema, **options)


def from_pretrained(name: Any, *, device: str | None = None, allow: Any = ()) -> LoadedTranslator:
    """A model from a folder that `save_pretrained` wrote, or from a repository of a hub.

    See `gan_style.inference.load.from_pretrained`, imported when it is called.
    """
    from gan_style.inference import load as module

    return module.from_pretrained(name, device=device, allow=allow)
