"""The ONNX graph of a convolutional image tower, whatever its shape, from what torch records of one run.

torch's own exporter does the same in general and takes ten times as long; the operations of convolutional networks are
few, so they are written here, and anything else is left to that exporter (:class:`UnknownOperation`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from plipdesk.encoders.card import EncoderCard
from plipdesk.encoders.clip_graph import normalise
from plipdesk.encoders.graph import Graph

if TYPE_CHECKING:
    import onnx
    import torch


class UnknownOperation(Exception):
    """The tower uses an operation, or a use of one, that is not written here."""


def trunk_graph(card: EncoderCard, visual: torch.nn.Module) -> onnx.ModelProto:
    """``pixels`` uint8 (n, input_px, input_px, 3) → ``embeddings`` float32 (n, dim), L2-normalised.

    Raises:
        UnknownOperation: the tower needs torch's own exporter.
    """
    import torch
    from onnx import TensorProto

    graph = Graph("image")
    planes = graph.one("Transpose", "pixels", perm=[0, 3, 1, 2])
    planes = graph.one("Cast", planes, to=TensorProto.FLOAT)
    mean, std = (np.array(values, dtype=np.float64).reshape(1, 3, 1, 1) for values in (card.mean, card.std))
    planes = graph.one("Mul", planes, graph.constant((1 / (255.0 * std)).astype(np.float32)))
    planes = graph.one("Add", planes, graph.constant((-mean / std).astype(np.float32)))
    # Two pictures, since torch may take a batch of one for a fixed size.
    with torch.no_grad():
        program = torch.export.export(visual, (torch.zeros(2, 3, card.input_px, card.input_px),), strict=False)
    normalise(graph, _converted(graph, program, planes))
    return graph.model([("pixels", TensorProto.UINT8, ("n", card.input_px, card.input_px, 3))], card.dim)


def _converted(graph: Graph, program: torch.export.ExportedProgram, planes: str) -> str:
    signature = program.graph_signature
    stored = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    tensors = {**program.state_dict, **program.constants}
    values: dict[str, Any] = {}
    for node in program.graph.nodes:
        if node.op == "placeholder":
            name = stored.get(node.name)
            if name is None:
                values[node.name] = planes
            elif node.users:
                values[node.name] = graph.constant(tensors[name].detach().numpy())
        elif node.op == "call_function":
            write = _WRITERS.get(str(node.target).removeprefix("aten.").split(".")[0].rstrip("_"))
            if write is None:
                raise UnknownOperation(str(node.target))
            arguments = [_named(argument, values) for argument in node.args]
            written = write(graph, *arguments, **dict(node.kwargs))
            values[node.name] = written
            if str(node.target).split(".")[1].endswith("_"):
                # It changed its first argument in place.
                values[node.args[0].name] = written
        elif node.op == "output":
            return str(values[node.args[0][0].name])
        else:
            raise UnknownOperation(node.op)
    raise UnknownOperation("no output")


def _named(argument: Any, values: dict[str, Any]) -> Any:
    if isinstance(argument, list | tuple):
        return [_named(part, values) for part in argument]
    name = getattr(argument, "name", None)
    return argument if name is None else values[name]


def _conv2d(
    graph: Graph,
    value: str,
    weight: str,
    bias: str | None = None,
    stride: list[int] | None = None,
    padding: list[int] | None = None,
    dilation: list[int] | None = None,
    groups: int = 1,
) -> str:
    inputs = [value, weight] if bias is None else [value, weight, bias]
    return graph.one(
        "Conv",
        *inputs,
        group=groups,
        strides=stride or [1, 1],
        pads=(padding or [0, 0]) * 2,
        dilations=dilation or [1, 1],
    )


def _batch_norm(
    graph: Graph,
    value: str,
    scale: str | None,
    shift: str | None,
    mean: str | None,
    variance: str | None,
    training: bool,
    _momentum: float,
    epsilon: float,
    *_: Any,
) -> str:
    if training or scale is None or shift is None or mean is None or variance is None:
        raise UnknownOperation("batch_norm without fixed statistics")
    return graph.one("BatchNormalization", value, scale, shift, mean, variance, epsilon=epsilon)


def _dropout(_graph: Graph, value: str, *_: Any) -> str:
    return value


def _cat(graph: Graph, parts: list[str], axis: int = 0) -> str:
    return graph.one("Concat", *parts, axis=axis)


def _hardtanh(graph: Graph, value: str, low: float = -1.0, high: float = 1.0) -> str:
    return graph.one("Clip", value, _number(graph, low), _number(graph, high))


def _pad(graph: Graph, value: str, sides: list[int], mode: str = "constant", filled: float | None = None) -> str:
    if mode != "constant" or len(sides) != 4:
        raise UnknownOperation(f"pad {mode} {sides}")
    left, right, top, bottom = sides
    return graph.one("Pad", value, graph.numbers(0, 0, top, left, 0, 0, bottom, right), _number(graph, filled or 0.0))


def _mean(graph: Graph, value: str, axes: list[int], keep: bool = False) -> str:
    if sorted(axis % 4 for axis in axes) != [2, 3]:
        raise UnknownOperation(f"mean over {axes}")
    pooled = graph.one("GlobalAveragePool", value)
    return pooled if keep else graph.one("Flatten", pooled, axis=1)


def _adaptive_average(graph: Graph, value: str, size: list[int]) -> str:
    if set(size) != {1}:
        raise UnknownOperation(f"adaptive_avg_pool2d to {size}")
    return graph.one("GlobalAveragePool", value)


def _max_pool(graph: Graph, value: str, kernel: list[int], stride: list[int], padding: list[int] | None = None) -> str:
    return graph.one("MaxPool", value, kernel_shape=kernel, strides=stride, pads=(padding or [0, 0]) * 2)


def _average_pool(
    graph: Graph,
    value: str,
    kernel: list[int],
    stride: list[int] | None = None,
    padding: list[int] | None = None,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    *_: Any,
) -> str:
    if ceil_mode:
        raise UnknownOperation("avg_pool2d rounded up")
    return graph.one(
        "AveragePool",
        value,
        kernel_shape=kernel,
        strides=stride or kernel,
        pads=(padding or [0, 0]) * 2,
        count_include_pad=int(count_include_pad),
    )


def _flatten(graph: Graph, value: str, start: int = 0, end: int = -1) -> str:
    if (start, end) != (1, -1):
        raise UnknownOperation(f"flatten from {start} to {end}")
    return graph.one("Flatten", value, axis=1)


def _linear(graph: Graph, value: str, weight: str, bias: str | None = None) -> str:
    inputs = [value, weight] if bias is None else [value, weight, bias]
    return graph.one("Gemm", *inputs, transB=1)


def _number(graph: Graph, value: float) -> str:
    return graph.constant(np.array(value, dtype=np.float32))


def _of_two(kind: str) -> Callable[..., str]:
    def write(graph: Graph, first: str, second: str | float) -> str:
        return graph.one(kind, first, second if isinstance(second, str) else _number(graph, second))

    return write


def _of_one(kind: str) -> Callable[..., str]:
    return lambda graph, value: graph.one(kind, value)


_WRITERS: dict[str, Callable[..., str]] = {
    "conv2d": _conv2d,
    "batch_norm": _batch_norm,
    "hardtanh": _hardtanh,
    "relu": _of_one("Relu"),
    "sqrt": _of_one("Sqrt"),
    "add": _of_two("Add"),
    "sub": _of_two("Sub"),
    "mul": _of_two("Mul"),
    "pow": _of_two("Pow"),
    "pad": _pad,
    "mean": _mean,
    "adaptive_avg_pool2d": _adaptive_average,
    "avg_pool2d": _average_pool,
    "max_pool2d": _max_pool,
    "flatten": _flatten,
    "cat": _cat,
    "linear": _linear,
    "dropout": _dropout,
}
