"""The ONNX graphs of CLIP's own towers: Vision Transformer and text transformer, straight from their weights.

Source of the architecture: Radford et al. (2021) as open_clip writes it; ``handles_image`` and
``handles_text`` tell whether a configuration asks for more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plipdesk.encoders.card import EncoderCard
from plipdesk.encoders.graph import Block, Graph, Weights, layer_norm, linear, transformer

if TYPE_CHECKING:
    import onnx

_VISION_KEYS = frozenset(
    {"image_size", "layers", "width", "head_width", "patch_size", "mlp_ratio", "ls_init_value", "patch_dropout"}
    | {"no_ln_pre", "pos_embed_type", "final_ln_after_pool", "timm_model_pretrained"}
)
_TEXT_KEYS = frozenset(
    {"context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio", "ls_init_value", "no_causal_mask"}
    | {"pad_id", "eos_id", "pool_type", "proj_bias", "proj_type", "hf_tokenizer_name", "tokenizer_kwargs"}
)


def _set(section: Mapping[str, Any]) -> set[str]:
    return {key for key, value in section.items() if value not in (None, False, {})}


def handles_image(architecture: Mapping[str, Any]) -> bool:
    """Whether the image tower is a plain Vision Transformer pooled at its class token."""
    vision = architecture["vision_cfg"]
    return _set(vision) - {"pool_type"} <= _VISION_KEYS and vision.get("pool_type", "tok") == "tok"


def handles_text(architecture: Mapping[str, Any]) -> bool:
    """Whether the text tower is a plain transformer pooled at its end of text."""
    text = architecture["text_cfg"]
    return _set(text) <= _TEXT_KEYS and text.get("pool_type", "argmax") in ("argmax", "eos")


def image_graph(card: EncoderCard, weights: Weights) -> onnx.ModelProto:
    """``pixels`` uint8 (n, input_px, input_px, 3) → ``embeddings`` float32 (n, dim), L2-normalised.

    Mean and standard deviation are folded into the patch projection.
    """
    from onnx import TensorProto

    vision = card.architecture["vision_cfg"]
    width, patch = vision.get("width", 768), vision.get("patch_size", 16)
    side = card.input_px // patch
    graph = Graph("image")

    # Patches of the picture as rows (n * side * side, patch * patch * 3), moved while they still are bytes.
    patches = graph.one("Reshape", "pixels", graph.numbers(-1, side, patch, side, patch * 3))
    patches = graph.one("Transpose", patches, perm=[0, 1, 3, 2, 4])
    patches = graph.one("Reshape", patches, graph.numbers(-1, patch * patch * 3))
    patches = graph.one("Cast", patches, to=TensorProto.FLOAT)
    kernel = weights.take("visual.conv1.weight", width, 3, patch, patch).transpose(0, 2, 3, 1)
    mean, std = np.array(card.mean, dtype=np.float64), np.array(card.std, dtype=np.float64)
    folded = (kernel / (255.0 * std)).astype(np.float32).reshape(width, -1)
    shift = -(kernel * (mean / std)).sum(axis=(1, 2, 3))

    tokens = graph.numbers(-1, side * side + 1, width)
    position = weights.take("visual.positional_embedding", side * side + 1, width)
    embedded = graph.one(
        "Reshape", linear(graph, patches, folded, shift.astype(np.float32)), graph.numbers(-1, side * side, width)
    )
    count = graph.one("Shape", "pixels", start=0, end=1)
    first = graph.constant(weights.take("visual.class_embedding", width).reshape(1, 1, width))
    first = graph.one("Expand", first, graph.one("Concat", count, graph.numbers(1, width), axis=0))
    rows = graph.one("Concat", first, embedded, axis=1)
    rows = graph.one("Add", rows, graph.constant(position[None]))
    rows = graph.one("Reshape", rows, graph.numbers(-1, width))
    if not vision.get("no_ln_pre", False):
        rows = layer_norm(graph, rows, weights, "visual.ln_pre", width)

    block = Block(
        width=width,
        heads=width // vision.get("head_width", 64),
        mlp_width=int(width * vision.get("mlp_ratio", 4.0)),
        activation=_activation(card),
        causal=False,
    )
    zero = graph.constant(np.array(0, dtype=np.int64))
    pooled = transformer(
        graph,
        rows,
        weights,
        "visual.transformer",
        vision["layers"],
        block,
        tokens=tokens,
        pick=lambda value: graph.one("Gather", value, zero, axis=1),
    )
    pooled = layer_norm(graph, pooled, weights, "visual.ln_post", width)
    pooled = linear(graph, pooled, weights.take("visual.proj", width, card.dim).T, None)
    normalise(graph, pooled)
    return graph.model([("pixels", TensorProto.UINT8, ("n", card.input_px, card.input_px, 3))], card.dim)


def text_graph(card: EncoderCard, weights: Weights) -> onnx.ModelProto:
    """``ids`` int64 (n, length) and ``ends`` int64 (n), the token to pool at → ``embeddings`` (n, dim), L2-normalised.

    A causal tower may be given any ``length`` that reaches the last end of text in the batch.
    """
    from onnx import TensorProto

    text = card.architecture["text_cfg"]
    width, heads = text.get("width", 512), text.get("heads", 8)
    prefix = "text." if card.architecture.get("custom_text", False) else ""
    causal = not text.get("no_causal_mask", False)
    graph = Graph("text")

    table = weights.take(f"{prefix}token_embedding.weight", text.get("vocab_size", 49408), width)
    position = weights.take(f"{prefix}positional_embedding", text.get("context_length", 77), width)
    rows = graph.one("Gather", graph.constant(table), "ids", axis=0)
    length = graph.one("Shape", "ids", start=1, end=2)
    position_part = graph.one("Slice", graph.constant(position), graph.numbers(0), length, graph.numbers(0))
    rows = graph.one("Reshape", graph.one("Add", rows, position_part), graph.numbers(-1, width))

    block = Block(
        width=width,
        heads=heads,
        mlp_width=int(width * text.get("mlp_ratio", 4.0)),
        activation=_activation(card),
        causal=causal,
    )
    ends = graph.one("Unsqueeze", "ends", graph.numbers(1))
    # (n, 1, 1) indices into (n, length, width) along the tokens: one row per text.
    place = graph.one("Expand", graph.one("Unsqueeze", ends, graph.numbers(2)), graph.numbers(1, 1, width))

    def pick(value: str) -> str:
        return graph.one("Squeeze", graph.one("GatherElements", value, place, axis=1), graph.numbers(1))

    bias = ""
    if causal:
        whole = graph.one("Squeeze", length)
        steps = graph.one("Range", _scalar(graph, 0), whole, _scalar(graph, 1))
        hidden = graph.one("Greater", steps, ends)
        never, always = np.array(-1e9, dtype=np.float32), np.array(0, dtype=np.float32)
        bias = graph.one("Where", hidden, graph.constant(never), graph.constant(always))
        bias = graph.one("Unsqueeze", bias, graph.numbers(1, 2))
    tokens = graph.one("Concat", graph.numbers(-1), length, graph.numbers(width), axis=0)
    pooled = transformer(
        graph,
        rows,
        weights,
        f"{prefix}transformer",
        text["layers"],
        block,
        tokens=tokens,
        pick=pick,
        pick_bias=bias,
    )
    pooled = layer_norm(graph, pooled, weights, f"{prefix}ln_final", width)
    name = f"{prefix}text_projection"
    if name in weights:
        pooled = linear(graph, pooled, weights.take(name, width, card.dim).T, None)
    elif f"{name}.weight" in weights:
        bias_weights = weights.take(f"{name}.bias", card.dim) if f"{name}.bias" in weights else None
        pooled = linear(graph, pooled, weights.take(f"{name}.weight", card.dim, width), bias_weights)
    normalise(graph, pooled)
    return graph.model([("ids", TensorProto.INT64, ("n", "length")), ("ends", TensorProto.INT64, ("n",))], card.dim)


def _scalar(graph: Graph, value: int) -> str:
    scalar: NDArray[np.int64] = np.array(value, dtype=np.int64)
    return graph.constant(scalar)


def _activation(card: EncoderCard) -> str:
    return "quick-gelu" if card.architecture.get("quick_gelu", False) else "gelu"


def normalise(graph: Graph, rows: str) -> None:
    """End the graph: ``rows`` (n, dim), L2-normalised, are its ``embeddings``."""
    graph.rename(graph.one("LpNormalization", rows, axis=-1, p=2), "embeddings")
