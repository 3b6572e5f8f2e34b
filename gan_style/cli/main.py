"""`gan-style VERB ...`: everything but experiments. Heavy imports wait until a verb needs them."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gan_style.cli.options import allow_option, configs_option, wrap_option
from gan_style.cli.parsers import add_completion, add_licences, add_serve, add_sweep, add_table, add_train, verbs_of
from gan_style.cli.picture_parsers import add_images, add_live, add_studio
from gan_style.core import allowed
from gan_style.core.errors import UserError, did_you_mean
from gan_style.core.exit_status import exit_status
from gan_style.core.paths import expanded
from gan_style.core.signals import command, hold_back, stoppable
from gan_style.core.terminal import Parser, answer, hushed, say


def main(arguments: list[str] | None = None) -> int:
    """Run one verb and return its exit status.

    Args:
        arguments: of a verb that runs within another program; None takes this process's own.

    Returns: 0 done, 1 for a finding of inspect or audit, 2 the user's mistake, 130 interrupted.
    """
    if arguments is None:
        with command():
            return main(sys.argv[1:])
    if arguments[:1] == ["train"]:
        # Replaces this process: Hydra and the launcher of several devices both read the command line again, and
        # a signal must reach the training itself.
        hold_back()
        train = [sys.executable, "-m", "gan_style.train", *arguments[1:]]
        if sys.platform == "win32":  # where execv starts another process and ends this one before it
            return subprocess.call(train)
        os.execv(sys.executable, train)
    parsed = _parsed(arguments or ["--help"])
    with hushed(parsed.quiet), exit_status(parsed.verb, getattr(parsed, "unnamed", "a file")) as ending:
        names = list(getattr(parsed, "allow", ()))
        if overrides := getattr(parsed, "overrides", ()):  # of a config, which may allow packages as well
            from gan_style.core.hydra_guard import named_packages

            names = named_packages(overrides)
        allowed.find_here(names)
        run = parsed.run if callable(parsed.run) else _imported(*parsed.run)
        with stoppable():
            status = run(parsed)
        ending.status = status if isinstance(status, int) else 0
    return ending.status


def _parsed(arguments: list[str]) -> argparse.Namespace:
    """Parse the command line; overrides may stand on both sides of the options."""
    parser = parser_of_verbs()
    parsed, left = parser.parse_known_args(arguments)
    words = next((getattr(parsed, name) for name in ("overrides", "words") if hasattr(parsed, name)), None)
    if left and (words is None or any(one.startswith("-") for one in left)):
        verb = verbs_of(parser)[parsed.verb]
        verb.error(_unrecognized(verb, left))
    if words is not None:
        words += left
    return parsed


def _unrecognized(verb: argparse.ArgumentParser, left: list[str]) -> str:
    """Say which arguments a verb does not take, and the nearest one of the first option among them."""
    options = verb._option_string_actions
    unknown = next((one.partition("=")[0] for one in left if one.startswith("--")), None)
    nearest = did_you_mean(unknown, [one for one in options if one.startswith("--")]) if unknown else ""
    return f"unrecognized arguments: {' '.join(left)}{nearest}"


def parser_of_verbs() -> argparse.ArgumentParser:
    from gan_style.core.version import __version__

    parser = Parser("gan-style", description="Unpaired image translation and style transfer.")
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    add_train(verbs)
    add_images(verbs)
    add_live(verbs)
    add_studio(verbs)
    _data_sets(verbs)
    _around_training(verbs)
    add_sweep(verbs)
    _scores(verbs)
    add_table(verbs)
    _bench(verbs)
    _files(verbs)
    add_serve(verbs)
    add_completion(verbs)
    add_licences(verbs)
    said = {verb.dest: verb.help for verb in verbs._choices_actions}
    for name, verb in verbs.choices.items():
        verb.description = verb.description or said[name]
        verb.add_argument("-q", "--quiet", action="store_true", help="print the answer and errors alone")
    return parser


def _around_training(verbs: Any) -> None:
    """Add the verbs that plan, report and check a training, and that begin a package."""
    plan = verbs.add_parser("plan", help="say what a training would cost, and how it would fit a budget")
    plan.add_argument("overrides", nargs="+", metavar="KEY=VALUE", help="as of train")
    plan.add_argument("--memory", metavar="8GB", help="budget: peak of memory, GB of 1e9 bytes or GiB")
    plan.add_argument("--hours", metavar="H", help="budget: time of the whole training")
    plan.add_argument(
        "--iterations", type=int, default=4, metavar="N", help="of a trial, at least; the first is not timed; 4"
    )
    plan.add_argument("--json", type=expanded, metavar="FILE.json", help="write all numbers")
    configs_option(plan)
    plan.set_defaults(run=("cli.plan", "plan"))
    report = verbs.add_parser("report", help="write report.html of a run folder again, or compare several runs")
    report.add_argument("run_dir", type=expanded, nargs="+", help="of a run, or a folder of runs")
    report.add_argument("--out", type=expanded, metavar="FILE.html", help="default: report.html in the one folder")
    report.set_defaults(run=_report)
    audit = verbs.add_parser("audit", help="train twice from one seed and name the first tensor that differs")
    audit.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="as for train: model=cut data=folders ...")
    audit.add_argument("--iterations", type=int, default=3, metavar="K", help="each time; default 3")
    audit.add_argument("--json", type=expanded, metavar="FILE", help="write the finding and what was compared")
    configs_option(audit)
    audit.set_defaults(run=_audit)
    new = verbs.add_parser("new", help="write a package of your own: a method, a generator, a metric, their tests")
    new.add_argument("name", metavar="NAME", help="of the package and of its folder here, such as mylab")
    new.set_defaults(run=_new)


def _data_sets(verbs: Any) -> None:
    """Add the verbs that inspect sets of pictures, and those that fetch sets and weights."""
    inspect = verbs.add_parser("inspect", help="say what is in a set of pictures and what is wrong with it")
    inspect.add_argument("set", metavar="NAME_OR_DIR", help="a named set below data/, or a folder of pictures")
    inspect.add_argument("--out", type=expanded, metavar="FILE.json", help="write all that was found")
    inspect.add_argument("--sheet", type=expanded, metavar="FILE.png", help="draw some pictures and the copies found")
    inspect.add_argument("--image-size", default="256", metavar="N|H,W", help="as data.image_size; default 256")
    inspect.set_defaults(run=_inspect)
    shards = verbs.add_parser("shards", help="pack a set of pictures into WebDataset shards, for data=shards")
    shards.add_argument("set", metavar="NAME_OR_DIR", help="a named set below data/, or a folder of pictures")
    shards.add_argument("out", type=expanded, metavar="OUT", help="a new or empty folder")
    shards.add_argument("--size", type=float, default=256, metavar="MB", help="of a shard; default 256")
    shards.add_argument("--shuffle", type=int, metavar="SEED", help="mix the order, for readers that go through it")
    shards.set_defaults(run=_shards)
    download = verbs.add_parser("download", help="fetch a named set of pictures; without a name, list what there is")
    download.add_argument("name", nargs="?", metavar="NAME", help="of the set, such as monet2photo")
    download.add_argument("--list", action="store_true", help="list the sets")
    download.add_argument("--root", metavar="DIR", help="the folder for it; default data/NAME")
    download.add_argument("--url", help="a mirror of the zip")
    download.add_argument("--archive", metavar="ZIP", help="the zip at hand, instead of a download")
    download.add_argument("--sha256", metavar="HASH", help="of the zip, where it is not the known one; it is recorded")
    download.set_defaults(run=_download)
    weights = verbs.add_parser("weights", help="fetch published weights; without a name, list what there is")
    weights.add_argument("name", nargs="?", metavar="NAME", help="of the weights, such as vgg19")
    weights.add_argument("--root", metavar="DIR", help="the folder for them; default weights/NAME, or torch's cache")
    weights.add_argument("--url", help="a mirror of the file, or of the folder of several")
    weights.add_argument("--sha256", metavar="HASH", help="of a single file, where it is not the known one")
    weights.set_defaults(run=("cli.weights", "weights"))


def _files(verbs: Any) -> None:
    """Add the verbs that read and write models."""
    describe = verbs.add_parser("describe", help="say what a checkpoint, an export or an official generator is")
    describe.add_argument("checkpoint", metavar="FILE", help="a .ckpt, .onnx, .pt2, .safetensors or .pth")
    describe.add_argument("--json", action="store_true", help="for programs, with every hash")
    allow_option(describe)
    describe.set_defaults(run=_describe)
    export = verbs.add_parser("export", help="write a trained model for other programs")
    export.add_argument("checkpoint", help="a trained model, such as best.ckpt")
    export.add_argument("output", metavar="OUT.onnx|.pt2|.safetensors|.pth", help=".pth is the official layout")
    export.add_argument("--direction", choices=("A2B", "B2A"), help="default: the model's first")
    allow_option(export)
    export.add_argument("--raw", action="store_true", help="the weights of the last step, not the averaged ones")
    export.set_defaults(run=("cli.export", "export"))
    take_in = verbs.add_parser(
        "import",
        help="make a checkpoint of a published model: CycleGAN, pix2pix, CUT, UNSB, MicroAST, AdaIN, WCT, ...",
    )
    files = "a generator; or the files of a model of styles, or their folder"
    take_in.add_argument("source", nargs="+", metavar="NET_G.pth", help=files)
    take_in.add_argument("output", metavar="OUT.ckpt", help="the checkpoint to write")
    take_in.add_argument("--direction", choices=("A2B", "B2A"), help="of NET_G.pth; default A2B")
    take_in.add_argument("--back", metavar="NET_G_B.pth", help="the generator of the other direction")
    take_in.add_argument("--size", type=int, default=256, metavar="N", help="of the training pictures; 256")
    transform = "of the features that a decoder inverts: means and deviations, or whitening and colouring; adain"
    take_in.add_argument("--transform", choices=("adain", "wct"), help=transform)
    take_in.set_defaults(run=("cli.export", "import_official"))


def _scores(verbs: Any) -> None:
    """Add the verbs that score pictures."""
    evaluate = verbs.add_parser("evaluate", help="score checkpoints on the test pictures of a set")
    evaluate.add_argument("checkpoint", help="a trained model, such as best.ckpt")
    data = "a named set below data/, a folder, scenes, or scenes:TASK of another drawn task"
    evaluate.add_argument("--data", required=True, metavar="NAME_OR_DIR", help=data)
    wrap_option(evaluate)
    evaluate.add_argument("--limit", type=int, metavar="N", help="the first N test and 2 N training pictures")
    allow_option(evaluate)
    evaluate.set_defaults(run=("cli.evaluate", "evaluate"))
    compare = verbs.add_parser("compare", help="score a folder of made pictures against a folder of real ones")
    compare.add_argument("real", metavar="DIR_REAL", help="a folder of real pictures")
    compare.add_argument("fake", metavar="DIR_FAKE", help="a folder of made pictures")
    compare.add_argument("--source", metavar="DIR", help="what the made ones were made of: gives the ceiling")
    compare.add_argument("--train", metavar="DIR", help="more real pictures: the floor is then at the same numbers")
    compare.add_argument("--size", type=int, default=256, metavar="N", help="side that all are resized to; 256")
    compare.set_defaults(allow=[], run=("cli.evaluate", "compare"))
    for verb in (evaluate, compare):
        add = verb.add_argument
        others = "a checkpoint, or scores.json" if verb is evaluate else "scores.json"
        add("--against", action="append", default=[], metavar="FILE", help=f"others, in the same table: {others}")
        add("--force", action="store_true", help="also where their protocols differ")
        kinds = "inception|squeezenet|vgg|random|LIBRARY:MODEL"
        add(
            "--extractor",
            default="random",
            metavar=kinds,
            help="of features; random. Libraries: torchvision, timm, ...",
        )
        add("--weights", metavar="FILE", help="of the extractor, instead of a download")
        add("--vgg", metavar="FILE", help="of VGG-19, for distances of content and style; $GAN_STYLE_VGG")
        add("--dino", metavar="FILE", help="of a DINO network, for the distance of structure")
        add("--device", metavar="cpu|cuda|mps|xpu", help="default: a GPU where there is one")
        add("--draws", type=int, default=200, metavar="N", help="of the bootstrap; 200")
        add("--no-cache", action="store_true", help="keep no features of real pictures for the next time")
        add("--out", metavar="FILE.json", help="write the result with its protocol")


def _bench(verbs: Any) -> None:
    """Add the verb that compares methods on drawn tasks."""
    bench = verbs.add_parser("bench", help="train and score methods on drawn tasks whose truth is known")
    add = bench.add_argument
    add("--tasks", nargs="+", metavar="TASK", help="of data.task; default: all eight")
    add("--models", nargs="*", metavar="MODEL", help="of conf/model, or NAME=model=cyclegan,KEY=VALUE; default: ours")
    add("--seeds", type=int, metavar="N", help="trainings of each row; 5. Fewer than 4 tell nothing apart")
    add("--size", type=int, metavar="PX", help="side of the pictures; 32")
    add("--iterations", type=int, metavar="N", help="of each training; 600")
    add("--count", type=int, metavar="N", help="test pictures of each task; 32")
    add("--folder", action="append", default=[], metavar="NAME=DIR", help="a row: translations DIR/TASK/*.png")
    add("--oracle", action="store_true", help="a row: the network of cyclegan, trained with the truth")
    add(
        "--quick", action="store_true", help="three rows, two tasks, one seed, 20 iterations unless given: does it run?"
    )
    add("--jobs", type=int, metavar="N", help="trainings at a time; default: one per processor")
    add("--out", type=expanded, default=Path("bench"), metavar="DIR", help="default: bench; goes on where it was")
    add("--export", type=expanded, metavar="DIR", help="write the tasks' pictures for other programs, and end")
    configs_option(bench)
    allow_option(bench)
    bench.set_defaults(run=("cli.bench", "bench"))


def _imported(module: str, name: str) -> Callable[..., Any]:
    """Import a function of the package, such as a verb, once it is needed."""
    found: Callable[..., Any] = getattr(importlib.import_module(f"gan_style.{module}"), name)
    return found


def _download(parsed: argparse.Namespace) -> None:
    from gan_style.data.named.table import NAMED_SETS, named_set

    if parsed.list or not parsed.name:
        row = "{:24}{:28}{:>9}{:>15}  {}"
        answer(row.format("name", "A and B", "pictures", "size", "licence"))
        for entry in NAMED_SETS.values():
            images = sum(entry.counts.values()) or "?"
            size = "by hand" if entry.withdrawn else entry.size
            answer(row.format(entry.name, " and ".join(entry.domains), images, size, entry.licence))
        return
    for option in ("root", "url", "archive"):
        if getattr(parsed, option) == "":
            raise UserError(f"--{option} is empty: give it a value, or leave it out")
    root = Path(parsed.root) if parsed.root else Path("data") / named_set(parsed.name).name
    fetch = _imported("data.named.download", "fetch")
    fetch(parsed.name, root, url=parsed.url, archive=parsed.archive, sha256=parsed.sha256)


def _describe(parsed: argparse.Namespace) -> None:
    found = _imported("inference.describe", "describe" if parsed.json else "page")(
        parsed.checkpoint, allow=parsed.allow
    )
    for line in json.dumps(found, indent=2).splitlines() if parsed.json else found:
        answer(line)


def _report(parsed: argparse.Namespace) -> None:
    say(_imported("report", "write_report")(*parsed.run_dir, out=parsed.out))


def _new(parsed: argparse.Namespace) -> None:
    folder = _imported("cli.new", "new")(parsed.name, Path())
    say(f"{folder}: a package of your own; README.md in it says how to train it")


def _audit(parsed: argparse.Namespace) -> int:
    return int(_imported("cli.audit", "audit")(parsed.overrides, parsed.iterations, parsed.json, parsed.config_dir))


def _inspect(parsed: argparse.Namespace) -> int:
    inspect = _imported("cli.inspect", "inspect")
    return int(inspect(parsed.set, out=parsed.out, sheet=parsed.sheet, image_size=parsed.image_size))


def _shards(parsed: argparse.Namespace) -> None:
    _imported("data.shard_writer", "shards")(parsed.set, parsed.out, size=parsed.size, shuffle=parsed.shuffle)


if __name__ == "__main__":
    sys.exit(main())
