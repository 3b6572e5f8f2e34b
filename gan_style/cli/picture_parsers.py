"""Parsers of the verbs that make pictures: stylize, translate, sheet, live and studio."""

from __future__ import annotations

import argparse
from typing import Any

from gan_style.cli.options import allow_option, wrap_option
from gan_style.core.paths import expanded


def add_images(verbs: Any) -> None:
    """Add the verbs that make pictures."""
    stylize = verbs.add_parser("stylize", help="give one picture the style of others")
    stylize.add_argument("content", help="the picture that gets the style")
    stylize.add_argument("output", help="the file to write, such as out.png")
    _style_options(stylize)
    _method_options(stylize)
    stylize.add_argument("--checkpoint", help="of a trained model that takes styles")
    allow_option(stylize)
    stylize.add_argument("--every", type=int, default=0, metavar="N", help="save the picture every N steps of gatys")
    stylize.set_defaults(run=("cli.stylize", "stylize"))
    translate = verbs.add_parser("translate", help="translate a picture, a folder or a video with a trained model")
    translate.add_argument("checkpoint", help="a trained model, such as runs/mine/checkpoints/best.ckpt")
    translate.add_argument("input", help="a picture, a folder of pictures, or a video")
    translate.add_argument("output", help="a file, or for a folder the folder to write; names and tree are kept")
    translate.add_argument("--direction", choices=("A2B", "B2A"), help="default: the model's first")
    _style_options(translate)
    smooth = "against flicker; videos: flow. For a folder of frames too, whose default is off"
    translate.add_argument("--smooth", choices=("off", "norm", "flow"), help=smooth)
    translate.add_argument("--window", type=int, metavar="N", help="frames that --smooth reaches over; flow 4, norm 12")
    both = "each picture holds two eyes side by side, which are made to agree"
    translate.add_argument("--stereo", action="store_true", help=both)
    _pass_options(translate)
    allow_option(translate)
    translate.set_defaults(run=("cli.translate", "translate"))
    sheet = verbs.add_parser("sheet", help="compare methods, styles or mixes on the same pictures")
    sheet.add_argument("output", help="the picture to write, such as sheet.png")
    sheet.add_argument("--content", action="append", required=True, metavar="IMAGE", help="each a row")
    sheet.add_argument("--style", action="append", default=[], metavar="IMAGE_OR_NAME", help="each a column")
    sheet.add_argument("--checkpoint", action="append", default=[], metavar="CKPT", help="one or more trained models")
    sheet.add_argument("--mixes", type=int, default=0, metavar="N", help="N steps from the first style to the second")
    sheet.add_argument("--alpha", type=float, default=1.0, help="strength, 0 to 1")
    sheet.add_argument("--preserve-color", action="store_true", help="keep the colours of the contents")
    sheet.add_argument("--size", type=int, metavar="N", help="longer side of the contents, in pixels")
    wrap_option(sheet)
    sheet.add_argument("--cell", type=int, default=256, metavar="N", help="side of a picture on the sheet")
    _method_options(sheet)
    allow_option(sheet)
    sheet.set_defaults(run=("cli.sheet", "sheet"))


def add_live(verbs: Any) -> None:
    """Add the verb that translates frames while they come."""
    live = verbs.add_parser("live", help="translate a camera, a video or a pipe of frames while it runs")
    add = live.add_argument
    add("checkpoint", nargs="?", help="of a trained model; with --style, default the one of the package")
    add("--source", default="0", metavar="N|FILE|-", help="a camera's number, a video, or y4m from stdin; camera 0")
    add("--frame", metavar="WxH", help="the source is raw RGB of this width and height")
    add("--rate", metavar="FPS", help="of raw RGB; 25")
    add("--out", default="WINDOW", metavar="WINDOW|FILE|-", help=".mp4, .mkv, .y4m, .rgb, or stdout; a window")
    add("--format", choices=("y4m", "rgb"), help="of stdout; y4m")
    add("--size", type=int, default=256, metavar="N", help="longer side in pixels, at most the source's; 256")
    add("--direction", choices=("A2B", "B2A"), help="default: the model's first")
    add("--style", action="append", default=[], metavar="IMAGE[=WEIGHT]", help="a picture, a folder or a name")
    add("--alpha", type=float, default=1.0, help="strength, 0 to 1")
    add("--preserve-color", action="store_true", help="keep the colours of the frames")
    add("--smooth", choices=("off", "norm", "flow"), default="off", help="against flicker; off")
    add("--window", type=int, metavar="N", help="frames that --smooth reaches over; flow 4, norm 12")
    wrap_option(live)
    add("--realtime", action="store_true", help="as a camera: at the source's speed, and late frames are dropped")
    add("--control", type=expanded, metavar="PATH", help="a file or pipe of lines such as alpha 0.5; it may be new")
    precision = "auto: bf16 where the device has units that multiply matrices of it"
    add("--precision", choices=("auto", "32", "bf16"), default="auto", help=precision)
    add("--engine", choices=("torch", "openvino"), default="torch", help="what computes the network; torch")
    add("--device", metavar="cpu|cuda", help="default: a GPU where there is one")
    allow_option(live)
    live.set_defaults(run=("cli.live", "live"))


def add_studio(verbs: Any) -> None:
    """Add the verb that serves the studio in a browser."""
    studio = verbs.add_parser("studio", help="a page on this machine: translate pictures, mix styles, look at runs")
    studio.add_argument("--checkpoint", action="append", default=[], metavar="CKPT", help="beside those of the runs")
    studio.add_argument("--runs", default="runs", metavar="DIR", help="the folder of runs; default runs")
    studio.add_argument("--weights", metavar="imagenet|random|FILE", help="the VGG of gatys; default $GAN_STYLE_VGG")
    studio.add_argument("--port", type=int, metavar="N", help="default: the first free one from 7860 on")
    studio.add_argument("--host", default="127.0.0.1", help="another than this machine alone, such as 0.0.0.0")
    allow_option(studio)
    studio.set_defaults(run=("cli.studio", "studio"))


def _style_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    styles = "a picture, a folder, a name or noise:NAME"
    add("--style", action="append", default=[], metavar="IMAGE[=WEIGHT]", help=styles)
    add("--alpha", type=float, default=1.0, help="strength, 0 to 1")
    add("--preserve-color", action="store_true", help="keep the colours of the content")
    add("--mask", action="append", default=[], metavar="IMAGE", help="one per style, white where it holds")
    wrap_option(parser)
    add("--size", type=int, metavar="N", help="longer side of the result in pixels, at most the content's; gatys: 512")


def _pass_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--tile", default="auto", metavar="auto|N|off", help="tiles of side N; auto where memory wants them")
    add("--tile-mode", choices=("exact", "fast"), default="exact", help="fast is blended and only about the same")
    add("--seed", type=int, metavar="N", help="of a generator's noise: another rendition; default 0")
    add("--explain", metavar="DIR", help="write there what each place meant, over the picture, for methods that know")
    add("--batch", type=int, default=1, metavar="N", help="up to N pictures of one size in a pass; default 1")
    add("--resume", action="store_true", help="leave out pictures whose output is there")
    add("--precision", choices=("32", "bf16"), default="32", help="of the numbers in a pass; 32")
    add("--channels-last", action="store_true", help="the layout of maps in memory; faster on recent GPUs")
    add("--compile", action="store_true", help="by torch.compile: for many pictures of one size")
    add("--engine", choices=("torch", "openvino"), default="torch", help="openvino: for many pictures of one size")
    add("--device", metavar="cpu|cuda|mps|xpu", help="default: a GPU where there is one")


def _method_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    methods = "default: the shipped microast, or the checkpoint's; gatys optimises each picture, for minutes"
    add("--method", choices=("microast", "gatys", "adain"), help=methods)
    add("--weights", metavar="imagenet|random|FILE", help="the VGG of gatys; default imagenet or $GAN_STYLE_VGG")
    add("--seed", type=int, default=0, metavar="N", help="of the noise that gatys may begin with; 0")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of gatys, such as model.steps=300")
