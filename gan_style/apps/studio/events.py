"""Shared parts of the page's events: errors as sentences, buttons that start and stop, folders for results."""

from __future__ import annotations

import contextvars
import functools
import inspect
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

import gradio as gr

from gan_style.apps.studio.room import FULL, Room
from gan_style.apps.studio.stopping import Stopped, Stops
from gan_style.apps.studio.translating import Report
from gan_style.core import memory
from gan_style.core.errors import UserError
from gan_style.report.markup import escape

Shown = TypeVar("Shown")
Result = TypeVar("Result")
RESULT_BYTES = 50_000_000  # of free room that a result needs
# One model at a time, for all visitors: a second one would only compete for cores and memory.
ONE_AT_A_TIME: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1}
AT_ONCE: dict[str, Any] = {"queue": False, "show_progress": "hidden"}  # for events without work


def sentences(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function, or a generator, so that a UserError is shown as its sentence, and no other error's text."""
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def guarded_generator(*args: Any, **kwargs: Any) -> Any:
            with _said():
                yield from function(*args, **kwargs)

        return guarded_generator

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        with _said():
            return function(*args, **kwargs)

    return guarded


@contextmanager
def _said() -> Iterator[None]:
    try:
        yield
        return
    except UserError as error:
        raise failure("That did not work", plain(error)) from None
    except Stopped:
        raise failure("Stopped", "nothing was kept") from None
    except Exception as error:
        if not memory.ran_out(error):
            raise
        said = UserError(memory.sentence(error, memory.advice_of("studio")))
    raise failure("Out of memory", plain(said))  # its memory is freed here


def failure(title: str, text: str) -> gr.Error:
    """Make the error that Gradio shows as a notice, with a title."""
    return gr.Error(titled(title, text), print_exception=False)


def titled(title: str, text: str) -> str:
    """Return the text of a notice below its title, which Gradio itself does not show."""
    return f"<b>{title}</b><br>{text}"


def plain(error: UserError) -> str:
    """Format an error for the page: uploads by their own names, without their temporary folder."""
    words = [Path(word).name if word.startswith(tempfile.gettempdir()) else word for word in str(error).split(" ")]
    return escape(" ".join(words))


def buttons(label: str, go_id: str, stop_id: str, stops: Stops) -> Any:
    """Build a button that starts work, and one that stops it."""

    def ask(request: gr.Request) -> None:
        stops.ask(request.session_hash)

    def begin(request: gr.Request) -> None:
        stops.begin(request.session_hash)

    with gr.Row(elem_classes="go"):
        go = gr.Button(label, variant="primary", elem_id=go_id, scale=5)
        stop = gr.Button("Stop", elem_id=stop_id, scale=1, min_width=80)
    stop.click(ask, None, None, queue=False)
    # Not queued: the work after it may wait in the queue, and be stopped while it waits.
    return go.click(begin, None, None, **AT_ONCE)


def growing(
    work: Callable[[Callable[[Shown], None]], Result], stop: Callable[[], None]
) -> Generator[Shown, None, Result]:
    """Yield what work shows while it goes on in a thread, the newest alone where several wait; return its result.

    Args:
        work: called with the function that shows something.
        stop: asks the work to end, where the generator is closed because its visitor has left. The thread is waited
            for: it holds the place of the one model that runs at a time.
    """
    news: SimpleQueue[Any] = SimpleQueue()
    ended = object()
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work(news.put))
        except BaseException as error:
            errors.append(error)
        finally:
            news.put(ended)

    # in this context, by which Gradio knows whose progress it is
    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True)
    thread.start()
    try:
        while (item := _newest(news)) is not ended:
            yield item
    except GeneratorExit:
        stop()
        raise
    finally:
        thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _newest(news: SimpleQueue[Any]) -> Any:
    """Wait for an item, and return the last of those that are there."""
    item = news.get()
    while not news.empty():
        item = news.get()
    return item


def reporting(progress: gr.Progress) -> Report:
    """Return the function by which work reports how far it is."""
    return lambda share, text: progress(share, desc=text)


def new_folder(room: Room) -> Path:
    """Create a folder for a result, if there is room for it.

    Raises:
        UserError: there is no room.
    """
    if not room.make(RESULT_BYTES):
        raise UserError(FULL)
    return Path(tempfile.mkdtemp(dir=room.folder))


def file_name(model: str | None) -> str:
    """Return the name of a model as a part of a file's."""
    return (model or "").replace("/", "-").replace("\\", "-")
