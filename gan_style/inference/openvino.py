"""Networks computed by OpenVINO on a CPU: for many pictures of one size, above all for frames."""

from __future__ import annotations

import ctypes
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

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
    """The generators of a model, compiled for each shape that they are given. Several threads take turns.

    Compiling begins with torch.export, beside which no other thread may use torch: the first picture of a size is to be
    translated alone.

    Args:
        model: on the CPU, in evaluation mode; its weights are not to change.
        precision: "32", or "bf16" for what OpenVINO computes in bfloat16.

    Raises:
        UserError: OpenVINO is not installed, or the model has no generators, or some that draw noise, which OpenVINO
            would draw otherwise than torch.
    """

    def __init__(self, model: Translator, precision: str) -> None:
        self.model, self._name = model, type(model).__name__
        if not model.generators:
            raise UserError(f"engine=openvino computes generators, and {self._name} has none: leave it out")
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
        self._turn = threading.Lock()  # a request is of one thread, and `forward` is replaced for all
        self._called = False

    @contextmanager
    def computing(self, needed: bool) -> Iterator[None]:
        """Compute the generators' passes by OpenVINO inside a `with` block; those over tiles stay as they are.

        Args:
            needed: there is a pass to compute, which a strength of 0 can do without.

        Raises:
            UserError: at the end, if the model's method takes its generators apart and has never called one whole.
        """
        with self._turn, own_signal_stack(), replaced_forwards([self.model], self._forward_of):
            yield
        if needed and not self._called:
            raise UserError(
                f"engine=openvino computes whole generators, and {self._name} takes its own apart: leave it out"
            )

    def _forward_of(self, module: nn.Module) -> Callable[..., Any] | None:
        name = self._names.get(module)
        return None if name is None else functools.partial(self._forward, module, name)

    def _forward(self, module: nn.Module, name: str, *args: Any, **kwargs: Any) -> Any:
        self._called = True
        leaves, structure = tree_flatten((args, kwargs))
        if not all(isinstance(leaf, (Tensor, *_PLAIN)) for leaf in leaves):  # feature maps in tiles
            return type(module).forward(module, *args, **kwargs)
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        key = structure, tuple(_kind(leaf) for leaf in leaves)
        known = self._compiled[name]
        compiled = known.pop(key, None) or self._compile(name, _OfTensors(module, structure, leaves), tensors)
        known[key] = compiled  # as the newest
        if len(known) > MAX_SHAPES:
            known.pop(next(iter(known)))
        found = compiled.infer([tensor.contiguous().numpy() for tensor in tensors])
        return compiled.together([torch.from_numpy(one) for one in found.values()])

    def _compile(self, name: str, network: nn.Module, tensors: list[Tensor]) -> Compiled:
        try:
            # Of copies, because two arguments that are one tensor would become one input.
            exported = torch.export.export(network, tuple(tensor.clone() for tensor in tensors))
            graph = self._openvino.convert_model(exported)
            graph.reshape({port: list(tensor.shape) for port, tensor in zip(graph.inputs, tensors, strict=True)})
            request = self._openvino.Core().compile_model(graph, "CPU", self._settings).create_infer_request()
        except UserError:  # of the network, about what it was given
            raise
        except Exception as error:  # of torch.export and of OpenVINO: no common class
            raise_if_out(error)
            reason = " ".join(str(error).split())[:160]
            raise UserError(f"engine=openvino does not take {name} of this model ({reason}): leave it out") from error
        return Compiled(request.infer, exported.call_spec.out_spec.unflatten)


class _SignalStack(ctypes.Structure):
    """`stack_t` of Linux."""

    _fields_ = (("sp", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def own_signal_stack() -> Iterator[None]:
    """Give this thread the stack of its signal handlers back at the end of a `with` block.

    On a processor with AMX OpenVINO 2026.4 sets one of its own and frees it with a network: the next signal, such as
    that of a child that ends, would end the process.
    """
    if sys.platform != "linux":
        yield
        return
    before, libc = _SignalStack(), ctypes.CDLL(None)
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        libc.sigaltstack(ctypes.byref(before), None)


class _OfTensors(nn.Module):
    """A network by the `forward` of its class, whatever has taken its place, as a function of tensors alone.

    Args:
        module: the network.
        structure, leaves: of its arguments; those that are no tensors are constants of the graph.
    """

    def __init__(self, module: nn.Module, structure: TreeSpec, leaves: list[Any]) -> None:
        super().__init__()
        self.module, self._structure = module, structure
        self._leaves = [None if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        self._places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]

    def forward(self, *tensors: Tensor) -> Any:
        leaves = list(self._leaves)
        for place, tensor in zip(self._places, tensors, strict=True):
            leaves[place] = tensor
        args, kwargs = tree_unflatten(leaves, self._structure)
        return type(self.module).forward(self.module, *args, **kwargs)


def _kind(leaf: Any) -> Any:
    """Return what a graph depends on: of a tensor its type and shape, of anything else itself; True is not 1."""
    return (leaf.dtype, leaf.shape) if isinstance(leaf, Tensor) else (type(leaf), leaf)


def _imported() -> Any:
    """Import OpenVINO without what tells its makers that it was imported and what it converts."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # as if it were not installed
    return extra("openvino", "openvino")
