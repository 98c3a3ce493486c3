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
    | {"no_ln_pre", "pos_embed_type", "final_ln_after_pool", "timm_model_pretrained", "norm_kwargs", "act_kwargs"}
)
_TEXT_KEYS = frozenset(
    {"context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio", "ls_init_value", "no_causal_mask"}
    | {"pad_id", "eos_id", "pool_type", "proj_bias", "proj_type", "hf_tokenizer_name", "tokenizer_kwargs"}
    | {"norm_kwargs", "act_kwargs"}
)
_POOLS = ("argmax", "eos", "first", "last")


def _set(section: Mapping[str, Any]) -> set[str]:
    return {key for key, value in section.items() if value not in (None, False, {})}


def handles_image(architecture: Mapping[str, Any]) -> bool:
    """Whether the image tower is a plain Vision Transformer pooled at its class token."""
    vision = architecture["vision_cfg"]
    layers = vision.get("layers", 12)
    plain = _set(vision) - {"pool_type"} <= _VISION_KEYS and vision.get("pool_type", "tok") == "tok"
    return plain and isinstance(layers, int) and _knows_details(vision)


def handles_text(architecture: Mapping[str, Any]) -> bool:
    """Whether the text tower is a plain transformer pooled at one token, or BERT."""
    text = architecture["text_cfg"]
    if "bert" in text:
        return True
    return _set(text) <= _TEXT_KEYS and text.get("pool_type", "argmax") in _POOLS and _knows_details(text)


def _knows_details(tower: Mapping[str, Any]) -> bool:
    details = set(tower.get("norm_kwargs") or ()) <= {"eps"}
    return details and (tower.get("act_kwargs") or {"approximate": "none"}).keys() == {"approximate"}


def _block(card: EncoderCard, tower: Mapping[str, Any], width: int, heads: int, *, causal: bool) -> Block:
    activation = "quick-gelu" if card.architecture.get("quick_gelu", False) else "gelu"
    if (tower.get("act_kwargs") or {}).get("approximate", "none") == "tanh":
        activation = "gelu-tanh"
    return Block(
        width=width,
        heads=heads,
        mlp_width=int(width * tower.get("mlp_ratio", 4.0)),
        activation=activation,
        causal=causal,
        epsilon=(tower.get("norm_kwargs") or {}).get("eps", 1e-5),
    )


def image_graph(card: EncoderCard, weights: Weights) -> onnx.ModelProto:
    """``pixels`` uint8 (n, input_px, input_px, 3) → ``embeddings`` float32 (n, dim), L2-normalised.

    Mean and standard deviation are folded into the patch projection.
    """
    from onnx import TensorProto

    vision = card.architecture["vision_cfg"]
    width, patch = vision.get("width", 768), vision.get("patch_size", 16)
    side = card.input_px // patch
    graph = Graph("image")

    kernel = weights.take("visual.conv1.weight", width, 3, patch, patch)
    embedded = embedded_patches(graph, card, kernel, np.zeros(width, dtype=np.float32))
    tokens = graph.numbers(-1, side * side + 1, width)
    position = weights.take("visual.positional_embedding", side * side + 1, width)
    count = graph.one("Shape", "pixels", start=0, end=1)
    first = graph.constant(weights.take("visual.class_embedding", width).reshape(1, 1, width))
    first = graph.one("Expand", first, graph.one("Concat", count, graph.numbers(1, width), axis=0))
    rows = graph.one("Concat", first, embedded, axis=1)
    rows = graph.one("Add", rows, graph.constant(position[None]))
    rows = graph.one("Reshape", rows, graph.numbers(-1, width))
    block = _block(card, vision, width, width // vision.get("head_width", 64), causal=False)
    if not vision.get("no_ln_pre", False):
        rows = layer_norm(graph, rows, weights, "visual.ln_pre", width, block.epsilon)
    zero = graph.constant(np.array(0, dtype=np.int64))
    pooled = transformer(
        graph,
        rows,
        weights,
        "visual.transformer",
        vision.get("layers", 12),
        block,
        tokens=tokens,
        pick=lambda value: graph.one("Gather", value, zero, axis=1),
    )
    pooled = layer_norm(graph, pooled, weights, "visual.ln_post", width, block.epsilon)
    pooled = linear(graph, pooled, weights.take("visual.proj", width, card.dim).T, None)
    normalise(graph, pooled)
    return graph.model([("pixels", TensorProto.UINT8, ("n", card.input_px, card.input_px, 3))], card.dim)


def embedded_patches(graph: Graph, card: EncoderCard, kernel: NDArray[np.float32], bias: NDArray[np.float32]) -> str:
    """``pixels`` cut into squares and projected by ``kernel`` (width, 3, patch, patch): (n, side * side, width).

    Mean and standard deviation are folded into the projection.
    """
    from onnx import TensorProto

    width, patch = kernel.shape[0], kernel.shape[2]
    side = card.input_px // patch
    pixels = "pixels"
    if card.input_px % patch:
        # What does not fill a whole patch at the right and the bottom is not looked at.
        whole = graph.numbers(side * patch, side * patch)
        pixels = graph.one("Slice", pixels, graph.numbers(0, 0), whole, graph.numbers(1, 2))
    # Patches of the picture as rows (n * side * side, patch * patch * 3), moved while they still are bytes.
    patches = graph.one("Reshape", pixels, graph.numbers(-1, side, patch, side, patch * 3))
    patches = graph.one("Transpose", patches, perm=[0, 1, 3, 2, 4])
    patches = graph.one("Reshape", patches, graph.numbers(-1, patch * patch * 3))
    patches = graph.one("Cast", patches, to=TensorProto.FLOAT)
    last = kernel.transpose(0, 2, 3, 1)
    mean, std = np.array(card.mean, dtype=np.float64), np.array(card.std, dtype=np.float64)
    folded = (last / (255.0 * std)).astype(np.float32).reshape(width, -1)
    shift = bias - (last * (mean / std)).sum(axis=(1, 2, 3))
    rows = linear(graph, patches, folded, shift.astype(np.float32))
    return graph.one("Reshape", rows, graph.numbers(-1, side * side, width))


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

    block = _block(card, text, width, heads, causal=causal)
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
        text.get("layers", 12),
        block,
        tokens=tokens,
        pick=pick,
        pick_bias=bias,
    )
    pooled = layer_norm(graph, pooled, weights, f"{prefix}ln_final", width, block.epsilon)
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


def normalise(graph: Graph, rows: str) -> None:
    """End the graph: ``rows`` (n, dim), L2-normalised, are its ``embeddings``."""
    graph.rename(graph.one("LpNormalization", rows, axis=-1, p=2), "embeddings")
