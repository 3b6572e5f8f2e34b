"""A trained model for other programs, compared with torch before its file is complete.

    .onnx, .pt2     one graph, any batch, height and width: `picture` (and `style` or `seed`) in, `output` out
    .safetensors    all weights but the discriminators', which `gan_style.load` reads
    .pth            one generator in the layout of the official CycleGAN, pix2pix and CUT code

Graphs take float32 in [-1, 1]. A method that takes styles has an input `style`: a picture of any size for AdaIN, a code
for a style-conditional generator, whose known styles stand in the metadata.
"""

from __future__ import annotations

import copy
import functools
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gan_style.apps.export.graph import SEED, SIZES, TRACED, Distance, Graph, Told, distance, graph_of, worst
from gan_style.apps.export.opset import lower
from gan_style.checkpoints import checkpoint, exported, official, safetensors
from gan_style.checkpoints.hub import weights_of
from gan_style.checkpoints.restore import fitting, naming, restore
from gan_style.core.allowed import ALLOWED_FROM_CHECKPOINT, in_file
from gan_style.core.config import build, target_of
from gan_style.core.direction import Direction
from gan_style.core.errors import UserError
from gan_style.core.extras import extra
from gan_style.core.paths import expanded
from gan_style.core.version import __version__
from gan_style.data.saving import check_not_overwriting
from gan_style.inference.load import loaded
from gan_style.inference.translator import LoadedTranslator
from gan_style.models.styled import styled
from gan_style.models.translator import Translator

OPSET = 18  # in which torch's exporter writes, before a graph is lowered
INT64 = 7  # onnx.TensorProto.INT64
Put = Callable[[Path], tuple[str, Distance]]  # writes a file, reads it back: a description, the distance from torch


class Exported(NamedTuple):
    """A written file.

    Attributes:
        path: of the file.
        form: what it is, in words.
        weights: "averaged" or "raw".
        distance: how far its pictures are from torch's.
    """

    path: Path
    form: str
    weights: str
    distance: Distance


def export(
    path: str | Path,
    output: str | Path,
    *,
    direction: str | None = None,
    raw: bool = False,
    allow: str | Sequence[str] = (),
    told: Told = lambda stage: None,
) -> Exported:
    """Write a trained model in the form that a suffix names, and compare it with torch before it gets its name.

    Args:
        path: of a checkpoint.
        output: ending in .onnx, .pt2, .safetensors or .pth (the official layout).
        direction: "A2B" or "B2A"; None is the model's first, and all of a .safetensors.
        raw: the weights of the last step rather than the averaged ones.
        allow: packages of the caller's own that the checkpoint may name, see `gan_style.load`.
        told: called with what is done next, such as "comparing at 64 x 96".

    Raises:
        UserError: another suffix, a model that cannot be exported so, or a file that would be further from torch than
            rounding.
    """
    out = expanded(output)
    check_not_overwriting([out], [path])
    makers: dict[str, Callable[..., Put]] = {
        ".onnx": _onnx,
        ".pt2": _program,
        ".safetensors": functools.partial(_tensors, allow=allow),
        ".pth": _official,
    }
    if out.suffix.lower() not in makers:
        raise UserError(f"{out} cannot be exported: its name must end in one of {', '.join(makers)}")
    content = checkpoint.load(expanded(path))
    with naming(path), fitting():
        method = target_of(content["config"]["model"], in_file(allow))
    if not method.directions:  # before it is built, which may fetch a VGG
        name = method.__name__.lower()
        raise UserError(f"{path} is of {name}, which makes each picture by an optimisation: nothing to export")
    with naming(path):
        translator = loaded(content, torch.device("cpu"), ema=not raw, allow=allow)
    if translator.wrap and out.suffix.lower() != ".safetensors":
        raise UserError(
            f"{path} is of pictures that go round (data.wrap={translator.wrap}), which only our own code does: export "
            "to .safetensors"
        )
    chosen = translator.direction_of(direction)
    put = makers[out.suffix.lower()](translator, chosen, direction is not None, told)
    told("writing")
    with checkpoint.writing(out) as beside:
        said, found = put(beside)
        if not found.is_rounding:
            raise UserError(f"{out} was not written: it is {found}, which is more than rounding")
    return Exported(out, said, translator.about["weights"] if translator.about else "raw", found)


def _onnx(translator: LoadedTranslator, direction: Direction, _: bool, told: Told) -> Put:
    for module in ("onnx", "onnxscript"):
        extra("export", module)
    runtime = extra("export", "onnxruntime")
    graph, channels = graph_of(translator.model, direction), _channels(translator, direction)
    told("tracing")
    program = _traced(graph, channels)
    told("converting to ONNX")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            made: Any = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                output_names=["output"],
                dynamic_shapes=_open_sizes(graph),
                verbose=False,
                external_data=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise UserError(
                f"{type(translator.model).__name__} computes something that ONNX does not have: export it to .pt2 or "
                ".safetensors"
            ) from error
    made.model.metadata_props.update(safetensors.texts(_described(translator, graph, direction)))
    content: Any = made.model_proto
    lower(content)
    if SEED in graph.inputs:  # an input with an initial value may be left out
        content.graph.initializer.add(name=SEED, data_type=INT64, dims=[1], int64_data=[0])

    def put(path: Path) -> tuple[str, Distance]:
        path.write_bytes(content.SerializeToString())
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        session = runtime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])

        def run(inputs: tuple[Tensor, ...]) -> Tensor:
            feed = {name: value.numpy() for name, value in zip(graph.inputs, inputs, strict=True)}
            return torch.from_numpy(session.run(["output"], feed)[0])

        form = exported.form_of_onnx(exported.about(path))
        said = f"{form}; {', '.join(graph.inputs)} to output, any batch, height and width"
        return said, distance(graph, run, channels, told)

    return put


def _program(translator: LoadedTranslator, direction: Direction, _: bool, told: Told) -> Put:
    graph, channels = graph_of(translator.model, direction), _channels(translator, direction)
    told("tracing")
    program = _traced(graph, channels)
    program.example_inputs = None  # else they are saved, too
    described = {exported.TEXT: json.dumps(_described(translator, graph, direction))}

    def put(path: Path) -> tuple[str, Distance]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with open(path, "wb") as file:  # by itself torch cannot open a name that is not UTF-8
                torch.export.save(program, file, extra_files=described)
            with open(path, "rb") as file:
                run = torch.export.load(file).module()
        said = f"a program of torch.export, {', '.join(graph.inputs)} to a picture, any batch, height and width"
        return said, distance(graph, functools.partial(_called, run), channels, told)

    return put


def _tensors(
    translator: LoadedTranslator, direction: Direction, alone: bool, told: Told, allow: str | Sequence[str]
) -> Put:
    state, about = weights_of(translator.model, translator.about, direction if alone else None)

    def put(path: Path) -> tuple[str, Distance]:
        safetensors.write(state, about, path)
        model = restore(checkpoint.load(path), allow).requires_grad_(False).eval()
        said = f"safetensors, {sum(isinstance(value, Tensor) for value in state.values())} tensors, for gan_style.load"
        found = []
        for each in [direction] if alone else translator.model.directions:
            graph, again = graph_of(translator.model, each), graph_of(model, each)
            found.append(distance(graph, functools.partial(_called, again), _channels(translator, each), told))
        return said, worst(found)

    return put


def _official(translator: LoadedTranslator, direction: Direction, _: bool, told: Told) -> Put:
    network = translator.model.generator_of(direction)
    state = official.to_official(translator.model if network is None else network)

    def put(path: Path) -> tuple[str, Distance]:
        torch.save(state, path)
        exported.put_into_zip(path, {"direction": str(direction), "gan_style": __version__, **(translator.about or {})})
        read, _ = official.read(path)
        again = build(read.node, ALLOWED_FROM_CHECKPOINT)(in_channels=read.in_channels, out_channels=read.out_channels)
        again.load_state_dict(read.state)
        said = f"{direction} in the official layout, {official.said(read.node)}"
        run = functools.partial(_called, again.requires_grad_(False).eval())
        return said, distance(Graph(translator.model, direction), run, _channels(translator, direction), told)

    return put


def _called(network: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    output: Tensor = network(*inputs)
    return output


def _traced(graph: Graph, channels: int) -> torch.export.ExportedProgram:
    """Trace the graph with every size dynamic, and without the networks that it does not use."""
    graph = copy.copy(graph)
    graph._modules = {"model": _used(graph, channels)}
    # A feature map may have a side of 1; without the patch torch.export assumes that no side is 1.
    oblivious = torch.fx.experimental._config.patch(backed_size_oblivious=True)  # type: ignore[attr-defined]
    with warnings.catch_warnings(), torch.no_grad(), oblivious:
        warnings.simplefilter("ignore")
        program = torch.export.export(graph, graph.example(TRACED, channels), dynamic_shapes=_open_sizes(graph))
    for module in program.graph_module.modules():  # parts in float32 under autocast are graphs of their own
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)  # it names folders of this machine
    return program


def _used(graph: Graph, channels: int) -> Translator:
    """Return the model with only the networks that take part: no discriminator, no other direction."""
    called: set[nn.Module] = set()
    handles = [part.register_forward_pre_hook(lambda part, _: called.add(part)) for part in graph.model.modules()]
    with torch.no_grad():
        graph(*graph.example(SIZES[0], channels))
    for handle in handles:
        handle.remove()
    slim: Translator = _pruned(graph.model, called)
    return slim


def _pruned(module: nn.Module, called: set[nn.Module]) -> Any:
    """Return a module with only those parts that were called, or whose own parts were: of an autoencoder, one half."""
    if module in called:
        return module
    if called.isdisjoint(module.modules()):
        return nn.Identity()  # replaced, not deleted: a method may refer to a network that it does not call
    slim = copy.copy(module)
    slim._modules = {name: child and _pruned(child, called) for name, child in module._modules.items()}
    return slim


def _open_sizes(graph: Graph) -> tuple[dict[int, Any], ...]:
    """Return the dynamic axes of each input."""
    batch, height, width = (torch.export.Dim(name, min=1) for name in ("batch", "height", "width"))
    sizes: tuple[dict[int, Any], ...] = ({0: batch, 2: height, 3: width},)
    if SEED in graph.inputs:
        return *sizes, {}
    if len(graph.inputs) == 1:
        return sizes
    style_axes = {} if graph.code_size else {2: "style_height", 3: "style_width"}
    return *sizes, {0: batch} | {axis: torch.export.Dim(name, min=1) for axis, name in style_axes.items()}


def _channels(translator: LoadedTranslator, direction: Direction) -> int:
    values: Mapping[str, Any] = translator.values or {}
    return int(values[direction.source].channels)


def _described(translator: LoadedTranslator, graph: Graph, direction: Direction) -> dict[str, Any]:
    """Describe the export: the checkpoint's description, the direction, and the codes of the known styles."""
    model = graph.model
    codes = {
        name: next(iter(styled(model).known_style(index).values()))[0].tolist()
        for index, name in enumerate(translator.learned(direction))
    }
    general = next(iter(styled(model).general_style().values()))[0].tolist() if graph.code_size else None
    own = {"direction": str(direction), "inputs": graph.inputs, "codes": codes, "general_code": general}
    return {"gan_style": __version__, "format": safetensors.FORMAT, **(translator.about or {}), **own}
