"""The verb `gan-style live`."""

from __future__ import annotations

import re
import shlex
import threading
import time
from argparse import Namespace
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from fractions import Fraction

from rich.progress import Progress
from rich.text import Text

from gan_style.cli.arguments import parse_style
from gan_style.core.checks import require_whole
from gan_style.core.devices import multiplies_bf16
from gan_style.core.errors import UserError
from gan_style.core.paths import expanded, printable
from gan_style.core.progress import progress_bars
from gan_style.core.signals import asking
from gan_style.core.terminal import warn
from gan_style.data.saving import check_not_overwriting
from gan_style.inference.live.look import Control, Look
from gan_style.inference.live.pipeline import Counts, run
from gan_style.inference.live.sinks import STDOUT, WINDOW, Sink, sink_of
from gan_style.inference.live.sources import STDIN, Source, source_of
from gan_style.inference.load import load

SHIPPED = "microast"  # the model of the package, which takes any picture as a style
KEY_STEP = 0.1  # of the strength, for each press
TERMINAL_SECONDS, PLAIN_SECONDS = 0.5, 5.0  # between two reports
INTERRUPTED = 130

Styles = Sequence[tuple[str, float]]


def live(parsed: Namespace) -> int:
    """Translate frames while they come, until the source ends, `quit` or Ctrl-C; what was written is whole.

    Returns: 0, or 130 where Ctrl-C cut a source short that has an end.
    """
    if not parsed.checkpoint and not parsed.style:
        raise UserError("live needs a model: name a checkpoint, or --style IMAGE for the model of the package")
    require_whole("--size", parsed.size, 1)
    styles = [parse_style(text) for text in parsed.style]
    if parsed.out not in (STDOUT, WINDOW):
        read = [parsed.source, parsed.checkpoint, parsed.control, *dict(styles)]
        check_not_overwriting([expanded(parsed.out)], [path for path in read if path])
    with source_of(parsed.source, parse_size(parsed.frame), parse_rate(parsed.rate)) as source:
        sink = sink_of(parsed.out, parsed.format, source, (keys := deque[str]()).append)
        with ThreadPoolExecutor(1) as computing:
            look = computing.submit(_look, parsed, styles).result()
            return _run(parsed, styles, source, sink, keys, look, computing)


def _look(parsed: Namespace, styles: Styles) -> Look:
    """Make what translates; in the thread that computes, see `inference.live.pipeline`."""
    precision = parsed.precision
    if precision == "auto":
        device = "cpu" if parsed.engine == "openvino" else parsed.device
        precision = "bf16" if multiplies_bf16(device) else "32"
    return Look(
        load(
            parsed.checkpoint or SHIPPED,
            device=parsed.device,
            precision=precision,
            engine=parsed.engine,
            allow=parsed.allow,
        ),
        side=parsed.size,
        styles=styles,
        direction=parsed.direction,
        alpha=parsed.alpha,
        preserve_color=parsed.preserve_color,
        smooth=parsed.smooth,
        window=parsed.window,
        wrap=parsed.wrap,
    )


def _run(
    parsed: Namespace, styles: Styles, source: Source, sink: Sink, keys: deque[str], look: Look, computing: Executor
) -> int:
    stop, interrupted = threading.Event(), threading.Event()

    def interrupt() -> None:
        interrupted.set()
        stop.set()

    with Control(parsed.control) as control, progress_bars() as progress, asking(interrupt):

        def between() -> None:
            pressed = [line_of(keys.popleft(), look.alpha, styles) for _ in range(len(keys))]
            for line in (*pressed, *control.lines()):
                try:
                    if line:
                        obey(line, look, stop)
                except UserError as error:
                    tell(progress, f"gan_style: {error}; going on as before")

        with sink:
            counts = run(
                source,
                look,
                sink.write,
                computing=computing,
                side=parsed.size,
                drop=source.camera or parsed.realtime,
                realtime=parsed.realtime and not source.camera and parsed.source != STDIN,
                stop=stop,
                between=between,
                report=reporter(progress, source.expected),
            )
            if not counts.frames and counts.stopped:
                raise KeyboardInterrupt
    warn(summary(counts))
    if source.unread and not counts.stopped:
        raise UserError(f"{source.unread}; what came before is in {parsed.out}")
    return INTERRUPTED if interrupted.is_set() and source.expected else 0


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Parse `640x360` to width and height."""
    if text is None:
        return None
    if not (found := re.fullmatch(r"([1-9]\d{0,4})[xX]([1-9]\d{0,4})", text, re.ASCII)):
        raise UserError(f"--frame {text} is no size: give width and height in pixels, such as 640x360")
    return int(found[1]), int(found[2])


def parse_rate(text: str | None) -> Fraction | None:
    """Parse `25`, `29.97` or `30000/1001`, in frames per second."""
    if text is None:
        return None
    try:
        rate = Fraction(text).limit_denominator(1001)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise UserError(f"--rate {text} is no number of frames per second: give one above 0, such as 25 or 30000/1001")
    return rate


def obey(line: str, look: Look, stop: threading.Event) -> None:
    """Do what a line of the control file says.

    Raises:
        UserError: it says nothing known, or what does not fit the model.
    """
    try:
        word, *rest = shlex.split(line)
    except ValueError:
        raise UserError(f"the line {line!r} has a quotation mark that is not closed: close it") from None
    if word == "quit" and not rest:
        stop.set()
    elif word == "style" and rest:
        look.restyle([parse_style(text) for text in rest])
    elif word == "direction" and len(rest) == 1:
        look.turn(rest[0])
    elif word == "alpha" and len(rest) == 1:
        try:
            alpha = float(rest[0])
        except ValueError:
            raise UserError(f"alpha {rest[0]} is not a strength: give a number from 0 to 1") from None
        look.strengthen(alpha)
    else:
        raise UserError(
            f"the line {line!r} is not understood: write alpha 0.5, style a.jpg=0.7 b.jpg=0.3, direction B2A or quit"
        )


def line_of(key: str, alpha: float, styles: Styles) -> str | None:
    """Return the line that a key of the window stands for; None of a key that has no meaning.

    Args:
        key: q ends, + and - change the strength, a digit takes one of the styles alone.
        alpha: the strength now.
        styles: of the command.
    """
    if key == "q":
        return "quit"
    if key in "+-":
        return f"alpha {min(1.0, max(0.0, alpha + (KEY_STEP if key == '+' else -KEY_STEP))):.2f}"
    if key.isdecimal() and 0 < int(key) <= len(styles):
        return f"style {shlex.quote(styles[int(key) - 1][0])}"
    return None


def reporter(progress: Progress, expected: int) -> Callable[[Counts], None]:
    """Make a function that shows rate, delay and dropped frames now and then: in place, or as lines of a file."""
    task = progress.add_task("live", total=expected or None)
    every = PLAIN_SECONDS if progress.disable else TERMINAL_SECONDS
    last, dropped = time.monotonic(), 0

    def report(counts: Counts) -> None:
        nonlocal last, dropped
        now = time.monotonic()
        if now - last < every:
            return
        last = now
        if progress.disable:
            warn(f"{now_of(counts)}{f', {late(counts.dropped - dropped)}' if counts.dropped > dropped else ''}")
            dropped = counts.dropped
        else:
            text = f"{now_of(counts)}{f', {late(counts.dropped)}' if counts.dropped else ''}"
            progress.update(task, completed=counts.frames + counts.dropped, description=text)

    return report


def now_of(counts: Counts) -> str:
    return f"{counts.rate:.1f} frames/s, delay {1000 * counts.delays[-1] if counts.delays else 0:.0f} ms"


def late(count: int) -> str:
    return f"{count} late frame{'s' * (count != 1)} dropped"


def summary(counts: Counts) -> str:
    """Return what a run came to, without an end."""
    rate = counts.frames / counts.seconds if counts.seconds else 0.0
    frames = f"{counts.frames} frame{'s' * (counts.frames != 1)} in {counts.seconds:.1f} s, {rate:.1f} a second"
    delays = f"delay {counts.delay(0.5):.0f} ms on the median and at most {counts.delay(0.95):.0f} ms in 95%"
    end = "; stopped" if counts.stopped else "; nobody read the output on" if counts.closed else ""
    return f"{frames}, {delays}, {late(counts.dropped)}{end}"


def tell(progress: Progress, sentence: str) -> None:
    """Print a line on stderr, above what is shown in place."""
    if progress.disable:
        warn(sentence)
    else:
        progress.console.print(Text(printable(sentence)), soft_wrap=True)
