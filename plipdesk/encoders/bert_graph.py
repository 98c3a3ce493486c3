"""The ONNX graph of BERT as a text tower, straight from its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from plipdesk.encoders.bert import BertShape
from plipdesk.encoders.card import EncoderCard
from plipdesk.encoders.clip_graph import normalise
from plipdesk.encoders.graph import Graph, Weights, activated, layer_norm, linear

if TYPE_CHECKING:
    import onnx

_FUSED = "com.microsoft"
_ROOT = "text.transformer"


def bert_graph(card: EncoderCard, weights: Weights) -> onnx.ModelProto:
    """``ids`` int64 (n, length) and ``ends`` int64 (n), the last token that is there → ``embeddings`` (n, dim).

    A text may be followed by any number of filling tokens, which nothing looks at.
    """
    from onnx import TensorProto

    shape = BertShape.of(card.architecture["text_cfg"]["bert"])
    width = shape.width
    graph = Graph("text")
    length = graph.one("Shape", "ids", start=1, end=2)
    words = weights.take(f"{_ROOT}.embeddings.word_embeddings.weight", shape.vocab_size, width)
    places = weights.take(f"{_ROOT}.embeddings.position_embeddings.weight", shape.positions, width)
    kinds = weights.take(f"{_ROOT}.embeddings.token_type_embeddings.weight", shape.types, width)
    place = graph.one("Slice", graph.constant(places + kinds[0]), graph.numbers(0), length, graph.numbers(0))
    rows = graph.one("Add", graph.one("Gather", graph.constant(words), "ids", axis=0), place)
    rows = graph.one("Reshape", rows, graph.numbers(-1, width))
    rows = layer_norm(graph, rows, weights, f"{_ROOT}.embeddings.LayerNorm", width, shape.epsilon)

    steps = graph.one("Range", _scalar(graph, 0), graph.one("Squeeze", length), _scalar(graph, 1))
    last = graph.one("Unsqueeze", "ends", graph.numbers(1))
    there = graph.one("LessOrEqual", steps, last)
    mask = graph.one("Cast", there, to=TensorProto.INT32)
    tokens = graph.one("Concat", graph.numbers(-1), length, graph.numbers(width), axis=0)
    for number in range(shape.layers):
        rows = _layer(graph, rows, weights, f"{_ROOT}.encoder.layer.{number}", shape, tokens, mask)

    hidden = graph.one("Reshape", rows, tokens)
    if shape.pooler == "mean_pooler":
        share = graph.one("Unsqueeze", graph.one("Cast", there, to=TensorProto.FLOAT), graph.numbers(2))
        total = graph.one("ReduceSum", graph.one("Mul", hidden, share), graph.numbers(1), keepdims=0)
        pooled = graph.one("Div", total, graph.one("ReduceSum", share, graph.numbers(1), keepdims=0))
    else:
        pooled = graph.one("Gather", hidden, graph.constant(np.array(0, dtype=np.int64)), axis=1)
    if shape.pooler == "cls_pooler":
        name = f"{_ROOT}.pooler.dense"
        weight, bias = weights.take(f"{name}.weight", width, width), weights.take(f"{name}.bias", width)
        pooled = graph.one("Tanh", linear(graph, pooled, weight, bias))
    normalise(graph, _projected(graph, pooled, weights, shape, card.dim))
    return graph.model([("ids", TensorProto.INT64, ("n", "length")), ("ends", TensorProto.INT64, ("n",))], card.dim)


def _layer(
    graph: Graph, rows: str, weights: Weights, name: str, shape: BertShape, tokens: str, mask: str
) -> str:  # fmt: skip
    width, mlp = shape.width, shape.mlp_width

    def dense(value: str, part: str, out: int, into: int) -> str:
        weight = weights.take(f"{name}.{part}.weight", out, into)
        return linear(graph, value, weight, weights.take(f"{name}.{part}.bias", out))

    query, key, value = (
        graph.one("Reshape", dense(rows, f"attention.self.{part}", width, width), tokens)
        for part in ("query", "key", "value")
    )
    mixed = graph.one("MultiHeadAttention", query, key, value, "", mask, domain=_FUSED, num_heads=shape.heads)
    mixed = graph.one("Reshape", mixed, graph.numbers(-1, width))
    rows = graph.one("Add", rows, dense(mixed, "attention.output.dense", width, width))
    rows = layer_norm(graph, rows, weights, f"{name}.attention.output.LayerNorm", width, shape.epsilon)
    hidden = activated(graph, dense(rows, "intermediate.dense", mlp, width), "gelu")
    rows = graph.one("Add", rows, dense(hidden, "output.dense", width, mlp))
    return layer_norm(graph, rows, weights, f"{name}.output.LayerNorm", width, shape.epsilon)


def _projected(graph: Graph, pooled: str, weights: Weights, shape: BertShape, dim: int) -> str:
    if shape.projection == "none":
        return pooled
    if shape.projection == "linear":
        return linear(graph, pooled, weights.take("text.proj.weight", dim, shape.width), None)
    between = (shape.width + dim) // 2
    hidden = linear(graph, pooled, weights.take("text.proj.0.weight", between, shape.width), None)
    return linear(graph, activated(graph, hidden, "gelu"), weights.take("text.proj.2.weight", dim, between), None)


def _scalar(graph: Graph, value: int) -> str:
    return graph.constant(np.array(value, dtype=np.int64))
