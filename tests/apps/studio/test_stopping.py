"""A Stop is heard inside a pass, by every method, and leaves nothing behind."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from gan_style.apps.studio.stopping import Stopped, Stops
from gan_style.apps.studio.translating import Wish, compare
from tests.small_models import loaded


def asking_after(stops: Stops, translator: Any, calls: int) -> list[int]:
    """Ask for a stop after so many convolutions; gives a list that grows with each."""
    seen: list[int] = []

    def count(*_: Any) -> None:
        seen.append(1)
        if len(seen) == calls:
            stops.ask("mine")

    for module in translator.model.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(count)
    return seen


@pytest.mark.parametrize("name", ["cyclegan", "adain"])
def test_a_pass_ends_between_two_layers(name: str) -> None:
    stops, translator, image = Stops(), loaded(f"model={name}"), torch.rand(3, 24, 24) * 2 - 1
    style = {"style": [(torch.rand(1, 3, 16, 16) * 2 - 1, 1.0)]} if name == "adain" else {}
    seen = asking_after(stops, translator, 2)
    with pytest.raises(Stopped), stops.heard("mine"):
        translator.translate(image, **style)
    assert len(seen) == 2
    with stops.heard("mine"):  # the next wish is another
        translator.translate(image, **style)
    stops.ask("mine")
    translator.translate(image, **style)  # nobody listens any more


def test_a_stop_of_what_still_waits_is_heard_when_its_turn_comes() -> None:
    stops = Stops()
    stops.ask("mine")  # of nothing
    stops.begin("mine")
    with stops.heard("mine"):
        pass
    stops.begin("mine")
    stops.ask("mine")
    begun = False
    with pytest.raises(Stopped), stops.heard("mine"):
        begun = True
    assert not begun
    with stops.heard("mine"):  # it was meant for one wish
        pass


def test_a_stop_ends_a_comparison_and_not_one_method_of_it(tmp_path: Path) -> None:
    Image.new("RGB", (24, 24), "teal").save(tmp_path / "a.png")
    stops, translator, begun = Stops(), loaded(), []
    asking_after(stops, translator, 1)
    models = [(name, lambda: begun.append(1) or translator) for name in ("one", "two")]
    with pytest.raises(Stopped), stops.heard("mine"):
        compare(models, Wish(tmp_path / "a.png"), tmp_path, lambda share, text: None)
    assert len(begun) == 1


def test_a_stop_that_is_looked_at_does_not_break_a_pass_off() -> None:
    stops, translator, image = Stops(), loaded(), torch.rand(3, 24, 24) * 2 - 1
    with stops.heard("mine", within=False):
        assert not stops.asked("mine")
        stops.ask("mine")
        assert stops.asked("mine")
        translator.translate(image)
    assert not stops.asked("mine")
    stops.ask("mine")  # while it waits
    with pytest.raises(Stopped), stops.heard("mine", within=False):
        pass


def test_what_grows_is_seen_and_the_newest_alone() -> None:
    from gan_style.apps.studio.events import growing

    go_on = threading.Event()

    def work(show: Any) -> str:
        show(1)
        go_on.wait(20)
        for number in (2, 3):
            show(number)
        return "done"

    growth = growing(work, go_on.set)
    assert next(growth) == 1
    go_on.set()
    results: list[str] = []

    def rest() -> Any:
        results.append((yield from growth))

    seen = list(rest())
    assert results == ["done"]
    assert seen in ([], [3], [2, 3])  # what comes while it is not looked at is left out

    def broken(show: Any) -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        next(growing(broken, go_on.set))


def test_an_optimisation_ends_where_its_visitor_has_left() -> None:
    from gan_style.apps.studio.events import growing

    stops, steps, never = Stops(), list[int](), threading.Event()

    def work(show: Any) -> None:
        with stops.heard("mine", within=False):
            while not stops.asked("mine"):
                steps.append(1)
                show(len(steps))
                never.wait(0.01)

    growth = growing(work, lambda: stops.ask("mine"))
    next(growth)
    growth.close()
    done = len(steps)
    never.wait(0.1)
    assert len(steps) == done
    assert not stops.asked("mine")  # the next wish of the session is another


def test_others_go_on() -> None:
    stops, translator, image = Stops(), loaded(), torch.rand(3, 24, 24) * 2 - 1
    with stops.heard("mine"):
        stops.ask("another")
        translator.translate(image)
        stops.ask("mine")
        done: list[Any] = []
        thread = threading.Thread(target=lambda: done.append(translator.translate(image)))
        thread.start()
        thread.join()
        assert len(done) == 1
        with pytest.raises(Stopped):
            translator.translate(image)
