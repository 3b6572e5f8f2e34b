"""Translation of frames that changes while they come, and the file or pipe that says how."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_style.core.errors import UserError
from gan_style.core.paths import why
from gan_style.inference.translator import LoadedTranslator
from gan_style.inference.trial import trial_size
from gan_style.inference.video.smoothing import smoother
from gan_style.inference.video.translate import require_bytes


class Look:
    """Translation of frames whose styles, strength and direction may change between two of them.

    Args:
        translator: of ordinary RGB pictures.
        side: longer side of the frames in pixels, to which pictures of styles are reduced too.
        styles: names or files with their weights; none takes the model's own.
        direction, alpha, preserve_color: as of `LoadedTranslator.translate`.
        smooth, window: against flicker, see gan_style/inference/video/smoothing.py.
        wrap: directions in which frames go round, as of `LoadedTranslator.translate_all`.

    Raises:
        UserError: something does not fit the model.
    """

    def __init__(
        self,
        translator: LoadedTranslator,
        *,
        side: int,
        styles: Sequence[tuple[str, float]] = (),
        direction: str | None = None,
        alpha: float = 1.0,
        preserve_color: bool = False,
        smooth: str = "off",
        window: int | None = None,
        wrap: str | None = None,
    ) -> None:
        self.translator, self._side = translator, side
        self._last = torch.zeros(1, 3, *trial_size(translator, wrap))
        self._options: dict[str, Any] = {}
        if smooth == "norm":
            translator.require_layers("smooth=norm")
        self._smoothed = smoother(smooth, self._translate, translator.model, window)
        fixed = {"preserve_color": preserve_color, "tile": None, "wrap": wrap}
        self._take(fixed | {"direction": direction, "style": self._encoded(styles, direction), "alpha": alpha})
        self(self._last)
        self._smoothed.forget()

    @property
    def alpha(self) -> float:
        return float(self._options["alpha"])

    @torch.no_grad()
    def __call__(self, frame: Tensor) -> Tensor:
        """Translate the next frame, [1, 3, H, W] in [-1, 1]; same kind."""
        self._last = frame
        return self._smoothed(frame)

    def strengthen(self, alpha: float) -> None:
        """Set the strength, in [0, 1]."""
        self._take({"alpha": alpha})

    def restyle(self, styles: Sequence[tuple[str, float]]) -> None:
        """Set the styles."""
        direction = self._options["direction"] if self._of_both else None
        self._take({"style": self._encoded(styles, direction), "direction": direction})

    def turn(self, direction: str) -> None:
        """Set the direction, and for a model without styles of both domains let go of the styles."""
        self._take({"direction": direction} | ({} if self._of_both else {"style": None}))

    def _take(self, changes: dict[str, Any]) -> None:
        """Set options, if a frame can be translated by them; the smoother forgets what was before.

        Raises:
            UserError: it cannot; nothing has changed.
        """
        before = self._options
        self._options = before | changes
        try:
            require_bytes(self.translator, self._options["direction"], self._options["style"])
            self._translate(self._last)
        except UserError:
            self._options = before
            raise
        self._smoothed.forget()

    def _translate(self, frame: Tensor) -> Tensor:
        output: Tensor = self.translator.translate(frame, **self._options)
        return output

    def _encoded(self, styles: Sequence[tuple[str, float]], direction: str | None) -> Any:
        """Encode styles once, rather than for each frame."""
        return [
            self.translator.style(name, weight, side=self._side, direction=direction) for name, weight in styles
        ] or None

    @property
    def _of_both(self) -> bool:
        model = self.translator.model
        return model.takes_style and len(model.directions) > 1


class Control:
    """Lines that a pipe gets or a file grows by; a context manager. A pipe is made where there is nothing.

    Args:
        path: None gives no lines.

    Raises:
        UserError: it cannot be used.
    """

    def __init__(self, path: Path | None) -> None:
        self._path, self._made = path, False
        self._pipe: int | None = None
        self._seen = b""  # of a file
        self._rest = b""  # of a line that has not ended

    def __enter__(self) -> Control:
        if self._path is None:
            return self
        try:
            if not self._path.exists():
                if not hasattr(os, "mkfifo"):
                    raise UserError(
                        f"--control {self._path} is not there, and this system has no pipes by name: make it a file"
                    )
                os.mkfifo(self._path)
                self._made = True
            if stat.S_ISFIFO(self._path.stat().st_mode):
                # For writing too: so it stays open while nobody else writes.
                self._pipe = os.open(self._path, os.O_RDWR | os.O_NONBLOCK)
            else:
                self._path.read_bytes()
        except OSError as error:
            raise UserError(f"--control {self._path} cannot be used ({why(error)}): name a file or a pipe") from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
        if self._made and self._path:
            self._path.unlink(missing_ok=True)

    def lines(self) -> list[str]:
        """Return the whole lines that are new; never waits."""
        *lines, self._rest = (self._rest + self._new()).split(b"\n")
        return [text for line in lines if (text := line.decode(errors="replace").strip())]

    def _new(self) -> bytes:
        if self._pipe is not None:
            with suppress(BlockingIOError):
                return os.read(self._pipe, 2**16)
        elif self._path:
            with suppress(OSError):  # an editor may just be replacing it
                content, seen = self._path.read_bytes(), self._seen
                self._seen = content
                if content.startswith(seen):
                    return content[len(seen) :]
                self._rest = b""
                return content
        return b""
