"""Networks computed by OpenVINO on a CPU: for many pictures of one size, above all for frames."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from gan_style.core.errors import UserError
from gan_style.core.extras import extra
from gan_style.core.memory import raise_if_out
from gan_style.models.translator import Translator
from gan_style.networks.fast_convolutions import replaced_forwards

MAX_SHAPES = 4  # kept of each network; each has a copy of its weights
_PLAIN = (bool, int, float, str, type(None))  # arguments besides tensors that a graph may depend on


class Compiled(NamedTuple):
    """Network for inputs of certain shapes: what infers, and what puts its tensors together as the network did."""

    infer: Callable[[list[Any]], Any]
    together: Callable[[list[Tensor]], Any]


class OpenVino:
    """The generators of a model, compiled for each shape that they are given.

    Args:
        model: on the CPU, in evaluation mode; its weights are not to change.
        precision: "32", or "bf16" for what OpenVINO computes in bfloat16.

    Raises:
        UserError: OpenVINO is not installed, the model is elsewhere, or its generators draw noise, which OpenVINO would
            draw otherwise than torch.
    """

    def __init__(self, model: Translator, precision: str) -> None:
        self.model = model
        device = next(model.parameters()).device
        if device.type != "cpu":
            raise UserError(f"engine=openvino computes on a CPU, not on {device.type}: take device=cpu, or no engine")
        if any(part is not model for part in model.noised()):
            raise UserError("engine=openvino would draw other noise than this model's generator: leave it out")
        self._openvino = _imported()
        self._settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._names = {getattr(model, name): name for name in model.generators}
        self._compiled: dict[str, dict[Any, Compiled]] = {name: {} for name in model.generators}

    def computing(self) -> AbstractContextManager[None]:
        """Compute the generators' passes by OpenVINO inside a `with` block; those over tiles stay as they are."""
        return replaced_forwards([self.model], lambda module: self._forward_of(module))

    def _forward_of(self, module: nn.Module) -> Callable[..., Any] | None:
        name = self._names.get(module)
        return None if name is None else functools.partial(self._forward, module, name)

    def _forward(self, module: nn.Module, name: str, *args: Any, **kwargs: Any) -> Any:
        leaves = tree_leaves((args, kwargs))
        if not all(isinstance(leaf, (Tensor, *_PLAIN)) for leaf in leaves):  # feature maps in tiles
            return type(module).forward(module, *args, **kwargs)
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        key = tuple((leaf.dtype, leaf.shape) if isinstance(leaf, Tensor) else leaf for leaf in leaves)
        compiled = self._compiled[name]
        if key not in compiled:
            if len(compiled) == MAX_SHAPES:
                compiled.pop(next(iter(compiled)))
            try:
                compiled[key] = self._compile(module, args, kwargs, tensors)
            except Exception as error:  # of torch.export and of OpenVINO: no common class
                raise_if_out(error)
                reason = " ".join(str(error).split())[:160]
                raise UserError(
                    f"engine=openvino does not take {name} of this model ({reason}): leave it out"
                ) from error
        found = compiled[key].infer([tensor.contiguous().numpy() for tensor in tensors])
        return compiled[key].together([torch.from_numpy(one) for one in found.values()])

    def _compile(self, module: nn.Module, args: Any, kwargs: Any, tensors: list[Tensor]) -> Compiled:
        exported = torch.export.export(_Own(module), args, kwargs)
        graph = self._openvino.convert_model(exported)
        graph.reshape({port: list(tensor.shape) for port, tensor in zip(graph.inputs, tensors, strict=True)})
        request = self._openvino.Core().compile_model(graph, "CPU", self._settings).create_infer_request()
        return Compiled(request.infer, exported.call_spec.out_spec.unflatten)


class _Own(nn.Module):
    """A network by the `forward` of its class, whatever has taken its place."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return type(self.module).forward(self.module, *args, **kwargs)


def _imported() -> Any:
    """Import OpenVINO without what tells its makers that it was imported and what it converts."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # as if it were not installed
    return extra("openvino", "openvino")
