"""Writing ONNX graphs node by node, and the transformer tower that image and text towers of CLIP share.

Written by hand instead of traced, since a trace of attention leaves hundreds of shape computations behind, keeps bias,
residual and normalisation apart, and takes a minute; ONNX Runtime's fused kernels are named here directly.
Activations are kept as rows (n * tokens, width), so that every product is one big matrix multiplication with its bias.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plipdesk.encoders.card import EncoderProblem

if TYPE_CHECKING:
    import onnx

OPSET = 18
_FUSED = "com.microsoft"


class Weights:
    """The model's tensors by name, as float32."""

    def __init__(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        self._tensors = tensors

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def take(self, name: str, *shape: int) -> NDArray[np.float32]:
        """The tensor called ``name``; -1 in ``shape`` accepts any length.

        Raises:
            EncoderProblem: it is not there or has another shape.
        """
        if name not in self._tensors:
            raise EncoderProblem(f"The weights lack {name}.", remedy="Import the model again.")
        found = self._tensors[name]
        if len(found.shape) != len(shape) or any(
            want not in (-1, have) for want, have in zip(shape, found.shape, strict=True)
        ):
            raise EncoderProblem(
                f"The weights of {name} are {found.shape}, not {shape}.", remedy="Import the model again."
            )
        return np.asarray(found, dtype=np.float32)


class Graph:
    """A graph under construction: values are named by strings, constants become initialisers once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, value: NDArray[Any]) -> str:
        """An initialiser holding ``value``."""
        from onnx import numpy_helper

        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def numbers(self, *values: int) -> str:
        """A one-dimensional int64 initialiser, as shapes and axes are given."""
        return self.constant(np.array(values, dtype=np.int64))

    def node(self, kind: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: Any) -> list[str]:
        """Append a node and return the names of its outputs."""
        from onnx import helper

        names = [f"v{len(self._nodes)}_{place}" for place in range(outputs)]
        self._nodes.append(helper.make_node(kind, list(inputs), names, domain=domain, **attributes))
        return names

    def one(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Append a node with one output and return its name."""
        return self.node(kind, *inputs, domain=domain, **attributes)[0]

    def rename(self, value: str, name: str) -> None:
        """Give ``value`` the name by which callers ask for it."""
        from onnx import helper

        self._nodes.append(helper.make_node("Identity", [value], [name]))

    def model(self, inputs: Sequence[tuple[str, int, Sequence[str | int]]], dim: int) -> onnx.ModelProto:
        """The finished model: ``inputs`` are (name, ONNX type, shape), the output is ``embeddings`` (n, dim)."""
        from onnx import TensorProto, helper

        graph = helper.make_graph(
            self._nodes,
            self._name,
            [helper.make_tensor_value_info(name, kind, list(shape)) for name, kind, shape in inputs],
            [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["n", dim])],
            initializer=self._constants,
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(_FUSED, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=9, producer_name="plipdesk")


@dataclass(frozen=True)
class Block:
    """What one transformer block needs to know beside its weights."""

    width: int
    heads: int
    mlp_width: int
    activation: str
    """``quick-gelu``, ``gelu``, ``gelu-tanh`` or ``swiglu`` (whose ``mlp_width`` counts both halves)."""
    causal: bool
    epsilon: float = 1e-5
    """Of the layer normalisations."""


def linear(graph: Graph, rows: str, weight: NDArray[np.float32], bias: NDArray[np.float32] | None) -> str:
    """``rows`` (m, k) times ``weight`` (out, k) transposed, plus ``bias``."""
    inputs = [rows, graph.constant(weight)]
    if bias is not None:
        inputs.append(graph.constant(bias))
    return graph.one("Gemm", *inputs, transB=1)


def layer_norm(graph: Graph, rows: str, weights: Weights, name: str, width: int, epsilon: float = 1e-5) -> str:
    """Layer normalisation over the last axis with the weights called ``name``."""
    gamma, beta = weights.take(f"{name}.weight", width), weights.take(f"{name}.bias", width)
    return graph.one("LayerNormalization", rows, graph.constant(gamma), graph.constant(beta), axis=-1, epsilon=epsilon)


def transformer(
    graph: Graph,
    rows: str,
    weights: Weights,
    prefix: str,
    layers: int,
    block: Block,
    *,
    tokens: str,
    pick: Callable[[str], str],
    pick_bias: str = "",
) -> str:
    """Blocks of a pre-norm transformer over ``rows`` (n * tokens, width); only the picked token leaves the last one.

    Args:
        tokens: name of the int64 shape (3) = (-1, tokens, width) that unfolds rows.
        pick: takes (n, tokens, width), returns the one token per item that is pooled, (n, width). In the last block
            nothing else is computed but keys and values, which changes no result.
        pick_bias: added to the attention of the picked token, (n, 1, 1, tokens), -inf where it may not look.

    Returns:
        The picked tokens after the last block, (n, width).
    """
    for layer in range(layers - 1):
        rows = _block(graph, rows, weights, f"{prefix}.resblocks.{layer}", block, tokens)
    return _last_block(graph, rows, weights, f"{prefix}.resblocks.{layers - 1}", block, tokens, pick, pick_bias)


def _attention(
    graph: Graph, block: Block, query: str, key: str, value: str, *, bias: str = "", causal: bool = False
) -> str:
    inputs = [query, key, value, "", "", bias] if bias else [query, key, value]
    options: dict[str, int] = {"unidirectional": 1} if causal else {}
    return graph.one("MultiHeadAttention", *inputs, domain=_FUSED, num_heads=block.heads, **options)


def every_token(
    graph: Graph, rows: str, weights: Weights, prefix: str, layers: int, block: Block, *, tokens: str
) -> str:
    """As :func:`transformer`, but all tokens leave the last block: rows (n * tokens, width)."""
    for layer in range(layers):
        rows = _block(graph, rows, weights, f"{prefix}.resblocks.{layer}", block, tokens)
    return rows


def _block(graph: Graph, rows: str, weights: Weights, name: str, block: Block, tokens: str) -> str:
    width = block.width
    weight, bias = _projection(weights, name, width)
    normal = layer_norm(graph, rows, weights, f"{name}.ln_1", width, block.epsilon)
    query, key, value = (
        graph.one("Reshape", linear(graph, normal, part, part_bias), tokens)
        for part, part_bias in zip(np.split(weight, 3), np.split(bias, 3), strict=True)
    )
    mixed = _attention(graph, block, query, key, value, causal=block.causal)
    mixed = graph.one("Reshape", mixed, graph.numbers(-1, width))
    return _after_attention(graph, rows, mixed, weights, name, block)


def _last_block(
    graph: Graph,
    rows: str,
    weights: Weights,
    name: str,
    block: Block,
    tokens: str,
    pick: Callable[[str], str],
    pick_bias: str,
) -> str:
    width = block.width
    weight, bias = _projection(weights, name, width)
    normal = layer_norm(graph, rows, weights, f"{name}.ln_1", width, block.epsilon)
    (query_weight, key_weight, value_weight), (query_bias, key_bias, value_bias) = (
        np.split(weight, 3),
        np.split(bias, 3),
    )
    key = graph.one("Reshape", linear(graph, normal, key_weight, key_bias), tokens)
    value = graph.one("Reshape", linear(graph, normal, value_weight, value_bias), tokens)
    picked_normal = pick(graph.one("Reshape", normal, tokens))
    query = graph.one("Reshape", linear(graph, picked_normal, query_weight, query_bias), graph.numbers(-1, 1, width))
    mixed = _attention(graph, block, query, key, value, bias=pick_bias)
    mixed = graph.one("Reshape", mixed, graph.numbers(-1, width))
    picked = pick(graph.one("Reshape", rows, tokens))
    return _after_attention(graph, picked, mixed, weights, name, block)


def _projection(weights: Weights, name: str, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return (
        weights.take(f"{name}.attn.in_proj_weight", 3 * width, width),
        weights.take(f"{name}.attn.in_proj_bias", 3 * width),
    )


def _after_attention(graph: Graph, rows: str, mixed: str, weights: Weights, name: str, block: Block) -> str:
    width, mlp = block.width, block.mlp_width
    out = linear(
        graph,
        mixed,
        _scaled(weights, f"{name}.ls_1.gamma", weights.take(f"{name}.attn.out_proj.weight", width, width)),
        _scaled(weights, f"{name}.ls_1.gamma", weights.take(f"{name}.attn.out_proj.bias", width)),
    )
    rows = graph.one("Add", rows, out)
    hidden = layer_norm(graph, rows, weights, f"{name}.ln_2", width, block.epsilon)
    hidden = linear(
        graph, hidden, weights.take(f"{name}.mlp.c_fc.weight", mlp, width), weights.take(f"{name}.mlp.c_fc.bias", mlp)
    )
    hidden, kept = activated(graph, hidden, block.activation), mlp
    if block.activation == "swiglu":
        kept = mlp // 2
    out = linear(
        graph,
        hidden,
        _scaled(weights, f"{name}.ls_2.gamma", weights.take(f"{name}.mlp.c_proj.weight", width, kept)),
        _scaled(weights, f"{name}.ls_2.gamma", weights.take(f"{name}.mlp.c_proj.bias", width)),
    )
    return graph.one("Add", rows, out)


def activated(graph: Graph, hidden: str, activation: str) -> str:
    """``hidden`` after the activation called as in :class:`Block`."""
    if activation == "quick-gelu":
        return graph.one("QuickGelu", hidden, domain=_FUSED, alpha=1.702)
    if activation == "gelu-tanh":
        return graph.one("FastGelu", hidden, domain=_FUSED)
    if activation == "swiglu":
        gate, value = graph.node("Split", hidden, outputs=2, axis=-1, num_outputs=2)
        return graph.one("Mul", graph.one("QuickGelu", gate, domain=_FUSED, alpha=1.0), value)
    return graph.one("Gelu", hidden, domain=_FUSED)


def _scaled(weights: Weights, gamma: str, value: NDArray[np.float32]) -> NDArray[np.float32]:
    """``value`` with the layer scale called ``gamma`` folded in, where the model has one."""
    if gamma not in weights:
        return value
    scale = weights.take(gamma, value.shape[0])
    return scale[:, None] * value if value.ndim == 2 else scale * value
