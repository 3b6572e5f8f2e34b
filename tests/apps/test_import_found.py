"""`gan-style import` of files as other programs save them: where the generator lies, and what is said of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import gan_style
from gan_style.apps.export.importing import import_official
from gan_style.cli.main import main
from tests.official_generators import Weights, resnet, santa, ugatit, unet, unsb
from tests.test_describe import described

State = dict[str, torch.Tensor]
AWKWARD = Path(__file__).parents[2] / "../shared/data/awkward/weights"
X = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1


def drawn(network: Any = resnet, seed: int = 0, **options: Any) -> tuple[State, torch.Tensor]:
    """A file's weights, and what they make of X."""
    torch.manual_seed(seed)
    weights = Weights()
    expected = network(weights, X, **options)
    return weights.file(), expected


def prefixed(prefix: str, state: State) -> State:
    return {f"{prefix}{key}": value for key, value in state.items()}


def discriminator(antialias: bool = False) -> State:
    """Names and shapes of a PatchGAN's first layers."""
    state = {"model.0.weight": torch.rand(4, 3, 4, 4), "model.0.bias": torch.rand(4)}
    state |= {"model.2.weight": torch.rand(8, 4, 4, 4), "model.3.weight": torch.rand(8)}
    return state | ({"model.4.filt": torch.rand(8, 1, 3, 3)} if antialias else {})


def imported(content: Any, folder: Path, *words: str) -> Path:
    torch.save(content, folder / "net.pth")
    assert main(["import", str(folder / "net.pth"), str(folder / "mine.ckpt"), *words]) == 0
    return folder / "mine.ckpt"


def assert_same(checkpoint: Path, expected: torch.Tensor, direction: str = "A2B", error: float = 1e-5) -> None:
    found = gan_style.load(checkpoint, device="cpu").model.translate(X.float(), direction)
    assert float((found - expected).abs().max()) < error


GOOD, TRUTH = drawn()
OPTIMIZER = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.rand(4, 3, 7, 7)}}, "param_groups": [{"lr": 1}]}
WAYS: dict[str, tuple[Any, str]] = {
    "plain": (GOOD, ""),
    "three dicts deep": ({"checkpoint": {"nets": {"generator": GOOD}}, "epoch": 7}, ""),
    "a list": ({"models": [GOOD], "step": torch.tensor(5)}, ""),
    "a wrapper in the middle": (prefixed("net._orig_mod.module.", GOOD), ""),
    "a wrapper around a part": ({key.replace("model.", "model.module.", 1): value for key, value in GOOD.items()}, ""),
    "an average of swa_utils": ({"n_averaged": torch.tensor(9), **prefixed("module.", GOOD)}, ""),
    "with an optimiser": ({"params": GOOD, "optim": OPTIMIZER}, "left out are optim"),
    "with a discriminator": ({"g": GOOD, "d": discriminator()}, "left out are d"),
    "with one in the same dict": (GOOD | prefixed("netD.", discriminator(antialias=True)), "left out are netD"),
    "Lightning": (
        {
            "epoch": 3,
            "pytorch-lightning_version": "2.5",
            "state_dict": prefixed("gen.", GOOD) | prefixed("dis_A.", discriminator()),
            "optimizer_states": [OPTIMIZER],
        },
        "left out are state_dict.dis_A, optimizer_states",
    ),
}


@pytest.mark.parametrize("name", WAYS)
def test_the_generator_is_found_wherever_it_lies(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, said = WAYS[name]
    checkpoint = imported(content, tmp_path)
    assert_same(checkpoint, TRUTH)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == ([f"note: net.pth: {said}"] if said else [])
    for file in (tmp_path / "net.pth", checkpoint):
        assert said in described(file, capsys)


@pytest.mark.parametrize(
    ("network", "options"),
    [
        (unet, {"depth": 5}),
        (santa, {}),
        (unsb, {"z": torch.zeros(1, 16, dtype=torch.float64)}),
        (ugatit, {"light": True}),
    ],
    ids=["unet", "santa", "unsb", "ugatit"],
)
def test_other_layouts_are_found_beside_other_networks(network: Any, options: dict[str, Any], tmp_path: Path) -> None:
    state, expected = drawn(network, **options)
    nested = imported(
        {"state_dict": prefixed("net.", state) | prefixed("netD.", discriminator(antialias=True))}, tmp_path
    )
    model = gan_style.load(nested, device="cpu").model.double()
    found = model.G_AB.predict(X, 0, options["z"]) if network is unsb else model.translate(X)
    assert float((found - expected).abs().max()) < 1e-5


@pytest.mark.parametrize(
    ("there", "back"),
    [
        ("netG_A", "netG_B"),
        ("genA2B", "genB2A"),
        ("G_AB", "G_BA"),
        ("generator_A_to_B", "generator_B_to_A"),
        ("gen_ab", "gen_ba"),
        ("G_AtoB.net", "G_BtoA.net"),
    ],
)
@pytest.mark.parametrize("flat", [False, True], ids=["dicts", "prefixes"])
def test_names_tell_the_direction(
    there: str, back: str, flat: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, back_truth = drawn(seed=1)
    states = {back: other, there: GOOD}
    content = {k: v for name, one in states.items() for k, v in prefixed(f"{name}.", one).items()} if flat else states
    checkpoint = imported(content, tmp_path, "--back", str(tmp_path / "net.pth"))
    assert_same(checkpoint, TRUTH)
    assert_same(checkpoint, back_truth, "B2A")
    out = capsys.readouterr().out
    assert f"of its generators {back}, {there}, {there} is read, which by its name translates A2B" in out
    assert f"of its generators {back}, {there}, {back} is read, which by its name translates B2A" in out


@pytest.mark.parametrize("names", [("generator", "generator_ema"), ("gen_a", "gen_b"), ("G_lab", "G_cab")])
def test_names_that_tell_nothing_are_listed(
    names: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(dict.fromkeys(names, GOOD), tmp_path / "net.pth")
    assert main(["import", str(tmp_path / "net.pth"), str(tmp_path / "mine.ckpt")]) == 2
    said = capsys.readouterr().err
    assert (
        f"holds several generators ({', '.join(names)}), and their names do not tell which one translates A2B" in said
    )
    assert not (tmp_path / "mine.ckpt").exists()


@pytest.mark.parametrize(
    ("content", "there"),
    [
        ({"netD": discriminator(), "optimizer": OPTIMIZER}, "its tensors are netD, optimizer"),
        (discriminator(), "its tensors are model.0.weight, model.0.bias, model.2.weight, model.3.weight"),
    ],
)
def test_what_is_there_instead_is_named(
    content: Any, there: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(content, tmp_path / "net.pth")
    assert main(["import", str(tmp_path / "net.pth"), str(tmp_path / "mine.ckpt")]) == 2
    assert there in capsys.readouterr().err


def norms_of(state: State) -> list[tuple[str, int]]:
    """Name and width of the norm behind each convolution but the last."""
    last = [key for key in state if key.endswith(".bias")][-1]
    convolutions = [k for k, v in state.items() if k.endswith(".bias") and f"{k[:-4]}weight" in state and k != last]
    found = []
    for key in convolutions:
        way, number = key.removesuffix(".bias").rsplit(".", 1)
        if state[f"{way}.{number}.weight"].dim() == 4:
            found.append((f"{way}.{int(number) + 1}", state[key].shape[0]))
    return found


def statistics(state: State) -> State:
    """Of instance norms that track them."""
    found: State = {}
    for name, width in norms_of(state):
        found |= {f"{name}.running_mean": torch.rand(width), f"{name}.running_var": torch.rand(width) + 0.5}
        found[f"{name}.num_batches_tracked"] = torch.tensor(40)
    return found


@pytest.mark.parametrize("norm", ["instance", "instance_affine"])
def test_statistics_of_instance_norms_are_left_out_and_said(
    norm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, expected = drawn(norm=norm)
    buffers = statistics(state)
    assert_same(imported(state | buffers, tmp_path), expected)
    note = (
        f"running statistics of {len(buffers) // 3} instance norms are left out: each picture is normalised by its own"
    )
    assert note in capsys.readouterr().out
    with pytest.warns(UserWarning, match=f"^net.pth: {note}"):
        content = import_official(tmp_path / "net.pth", tmp_path / "again.ckpt")
    assert content["imported"]["A2B"]["notes"][0].startswith(note)


def test_batch_norms_keep_theirs_and_need_no_counters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state, expected = drawn(norm="batch")
    assert_same(imported({k: v for k, v in state.items() if "num_batches" not in k}, tmp_path), expected)
    assert "note" not in capsys.readouterr().out
    bare = {k: v for k, v in state.items() if v.dim() != 1 or "running" in k or k.startswith("model.18")}
    torch.save(bare, tmp_path / "net.pth")
    assert main(["import", str(tmp_path / "net.pth"), str(tmp_path / "none.ckpt")]) == 2
    assert "running statistics of norms without a scale (model.2.num_batches_tracked)" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_become_float32_and_that_is_said(
    kind: torch.dtype, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = Weights()
    resnet(weights, X, antialias=True, antialias_up=True)
    rounded = {key: value.to(kind) for key, value in weights.file().items()}
    for key, value in rounded.items():
        weights[key] = value.double()
    checkpoint = imported(rounded, tmp_path)
    assert_same(checkpoint, resnet(weights, X, antialias=True, antialias_up=True))
    assert f"note: net.pth: its weights in {str(kind)[6:]} are converted to float32" in capsys.readouterr().out
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert {value.dtype for value in state.values()} == {torch.float32}


def test_a_file_that_would_take_for_ever_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inner: dict[str, Any] = {}
    for _ in range(12):
        inner = {str(number): inner for number in range(10)}
    torch.save(inner, tmp_path / "net.pth")
    assert main(["import", str(tmp_path / "net.pth"), str(tmp_path / "mine.ckpt")]) == 2
    assert "net.pth has more than 1,000,000 entries in its dicts" in capsys.readouterr().err
    assert main(["describe", str(tmp_path / "net.pth")]) == 2


@pytest.mark.skipif(not AWKWARD.is_dir(), reason="../shared/data/awkward is absent")
@pytest.mark.parametrize("name", ["instance_affine", "wrapped_netG_A", "wrapped_state_dict", "plain"])
def test_the_awkward_files(name: str, tmp_path: Path) -> None:
    out, expected = tmp_path / "mine.ckpt", torch.load(AWKWARD / f"{name}.pth.expected", weights_only=True)
    assert main(["import", str(AWKWARD / f"{name}.pth"), str(out)]) == 0
    found = gan_style.load(out, device="cpu").model.translate(expected["x"])
    assert float((found - expected["y"]).abs().max()) < 1e-5


@pytest.mark.skipif(not AWKWARD.is_dir(), reason="../shared/data/awkward is absent")
def test_the_awkward_file_with_statistics(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", str(AWKWARD / "instance_tracked.pth"), str(tmp_path / "mine.ckpt")]) == 0
    assert "running statistics of 17 instance norms are left out" in capsys.readouterr().out
