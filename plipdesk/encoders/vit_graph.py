"""The ONNX graph of timm's Vision Transformers: those of BiomedCLIP, SigLIP, UNI, Phikon and their like.

Which of its many options a tower uses is read off the built module; one that is not known here is left to the general
ways (:class:`~plipdesk.encoders.trunk_graph.UnknownOperation`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plipdesk.encoders.card import EncoderCard
from plipdesk.encoders.clip_graph import embedded_patches, normalise
from plipdesk.encoders.graph import Block, Graph, Weights, activated, every_token, layer_norm, linear, transformer
from plipdesk.encoders.trunk_graph import UnknownOperation

if TYPE_CHECKING:
    import onnx

_FUSED = "com.microsoft"
_PARTS = {
    "norm1": "ln_1", "norm2": "ln_2", "attn.proj": "attn.out_proj", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
}  # fmt: skip


def vit_graph(card: EncoderCard, visual: Any) -> onnx.ModelProto:
    """``pixels`` uint8 (n, input_px, input_px, 3) → ``embeddings`` float32 (n, dim), L2-normalised.

    Raises:
        UnknownOperation: the tower is no such transformer, or uses an option that is not written here.
    """
    from onnx import TensorProto

    trunk = getattr(visual, "trunk", None)
    block = _checked(card, trunk, visual)
    assert trunk is not None
    tensors = {name: tensor.detach().float().numpy() for name, tensor in trunk.state_dict().items()}
    weights = Weights(tensors | _renamed(tensors, len(trunk.blocks), block.width))
    graph = Graph("image")
    count = graph.one("Shape", "pixels", start=0, end=1)
    rows = _embedded(graph, card, trunk, tensors, count)
    width, prefix = block.width, trunk.num_prefix_tokens
    length = tensors["pos_embed"].shape[1] + (prefix if trunk.no_embed_class else 0)
    tokens = graph.numbers(-1, length, width)
    rows = graph.one("Reshape", rows, graph.numbers(-1, width))
    if _is_norm(trunk.norm_pre):
        rows = layer_norm(graph, rows, weights, "norm_pre", width, trunk.norm_pre.eps)
    layers = len(trunk.blocks)
    if trunk.attn_pool is None and trunk.global_pool == "token":
        zero = graph.constant(np.array(0, dtype=np.int64))
        pooled = transformer(
            graph, rows, weights, "t", layers, block, tokens=tokens,
            pick=lambda value: graph.one("Gather", value, zero, axis=1),
        )  # fmt: skip
        pooled = _normed(graph, pooled, weights, trunk, "norm", width)
    else:
        rows = every_token(graph, rows, weights, "t", layers, block, tokens=tokens)
        rows = graph.one("Reshape", _normed(graph, rows, weights, trunk, "norm", width), tokens)
        if prefix and not trunk.pool_include_prefix:
            rows = graph.one("Slice", rows, graph.numbers(prefix), graph.numbers(length), graph.numbers(1))
        if trunk.attn_pool is None:
            pooled = graph.one("ReduceMean", rows, graph.numbers(1), keepdims=0)
        else:
            pooled = _attention_pool(graph, rows, weights, trunk.attn_pool, block, count)
    pooled = _normed(graph, pooled, weights, trunk, "fc_norm", width)
    normalise(graph, _head(graph, pooled, visual))
    return graph.model([("pixels", TensorProto.UINT8, ("n", card.input_px, card.input_px, 3))], card.dim)


def _checked(card: EncoderCard, trunk: Any, visual: Any) -> Block:
    """The blocks of ``trunk``, after everything that could differ was looked at."""
    import torch
    from timm.models.vision_transformer import Block as TimmBlock
    from timm.models.vision_transformer import VisionTransformer

    if type(trunk) is not VisionTransformer:
        raise UnknownOperation("no Vision Transformer of timm's")
    timm = _layers()
    blocks: list[Any] = list(trunk.blocks)
    embed: Any = trunk.patch_embed
    pool: Any = trunk.attn_pool
    plain = (
        type(embed) is timm.PatchEmbed and _absent(embed.norm) and len(set(embed.patch_size)) == 1
        and embed.img_size == (card.input_px, card.input_px) and trunk.pos_embed is not None
        and _absent(trunk.patch_drop) and blocks and all(type(block) is TimmBlock for block in blocks)
        and all(type(norm) in _norms() for block in blocks for norm in (block.norm1, block.norm2))
        and all(_is_norm(part) or _absent(part) for part in (trunk.norm_pre, trunk.norm, trunk.fc_norm))
        and (pool is None or (type(pool) is timm.AttentionPoolLatent and pool.latent_len == 1 and pool.pool == "token"))
        and (pool is not None or trunk.global_pool in ("token", "avg"))
        and isinstance(getattr(visual, "head", torch.nn.Sequential()), torch.nn.Sequential) and _absent(trunk.head)
    )  # fmt: skip
    if not plain:
        raise UnknownOperation("a Vision Transformer with unusual parts")
    for block in blocks:
        attention, mlp = block.attn, block.mlp
        usual = (
            type(attention) is timm.Attention and _absent(attention.q_norm) and _absent(attention.k_norm)
            and _absent(attention.norm) and getattr(attention, "gate", None) is None
            and attention.attn_dim == trunk.embed_dim and type(mlp) in (timm.Mlp, timm.GluMlp) and _absent(mlp.norm)
            and all(_absent(scale) or type(scale) is timm.LayerScale for scale in (block.ls1, block.ls2))
            and not getattr(mlp, "gate_last", False)
        )  # fmt: skip
        if not usual:
            raise UnknownOperation("blocks with unusual parts")
    first: Any = blocks[0]
    return Block(
        width=trunk.embed_dim,
        heads=first.attn.num_heads,
        mlp_width=first.mlp.fc1.out_features,
        activation=_activation(first.mlp.act, gated=type(first.mlp) is timm.GluMlp),
        causal=False,
        epsilon=first.norm1.eps,
    )


def _activation(act: Any, *, gated: bool) -> str:
    import torch

    if gated and isinstance(act, torch.nn.SiLU):
        return "swiglu"
    approximate = getattr(act, "approximate", "none")
    if not gated and type(act).__name__ in ("GELU", "GELUTanh"):
        return "gelu-tanh" if approximate == "tanh" or type(act).__name__ == "GELUTanh" else "gelu"
    raise UnknownOperation(f"activation {type(act).__name__}")


def _absent(part: Any) -> bool:
    import torch

    return part is None or isinstance(part, torch.nn.Identity | torch.nn.Dropout)


def _layers() -> Any:
    """timm's layers, some of which it does not say to be its own."""
    import timm

    return timm.layers


def _norms() -> tuple[type, ...]:
    import torch

    return (torch.nn.LayerNorm, _layers().LayerNorm)


def _is_norm(part: Any) -> bool:
    return type(part) in _norms()


def _normed(graph: Graph, rows: str, weights: Weights, trunk: Any, name: str, width: int) -> str:
    part = getattr(trunk, name)
    return layer_norm(graph, rows, weights, name, width, part.eps) if _is_norm(part) else rows


def _renamed(tensors: dict[str, NDArray[Any]], layers: int, width: int) -> dict[str, NDArray[Any]]:
    """The blocks' tensors under the names that open_clip's transformer has."""
    named: dict[str, NDArray[Any]] = {}
    for layer in range(layers):
        old, new = f"blocks.{layer}", f"t.resblocks.{layer}"
        named[f"{new}.attn.in_proj_weight"] = tensors[f"{old}.attn.qkv.weight"]
        named[f"{new}.attn.in_proj_bias"] = tensors.get(
            f"{old}.attn.qkv.bias", np.zeros(3 * width, dtype=np.float32)
        )  # fmt: skip
        for part, name in _PARTS.items():
            weight = tensors[f"{old}.{part}.weight"]
            named[f"{new}.{name}.weight"] = weight
            none = np.zeros(weight.shape[0], dtype=np.float32)
            named[f"{new}.{name}.bias"] = tensors.get(f"{old}.{part}.bias", none)
        for number in (1, 2):
            if f"{old}.ls{number}.gamma" in tensors:
                named[f"{new}.ls_{number}.gamma"] = tensors[f"{old}.ls{number}.gamma"]
    return named


def _embedded(graph: Graph, card: EncoderCard, trunk: Any, tensors: dict[str, NDArray[Any]], count: str) -> str:
    kernel = tensors["patch_embed.proj.weight"]
    width = kernel.shape[0]
    bias = tensors.get("patch_embed.proj.bias", np.zeros(width, dtype=np.float32))
    patches = embedded_patches(graph, card, kernel, bias)
    position = graph.constant(tensors["pos_embed"])
    if trunk.no_embed_class:
        patches = graph.one("Add", patches, position)
    before = [tensors[name] for name in ("cls_token", "reg_token") if tensors.get(name) is not None]
    if before:
        first = np.concatenate(before, axis=1)
        shape = graph.one("Concat", count, graph.numbers(first.shape[1], width), axis=0)
        patches = graph.one("Concat", graph.one("Expand", graph.constant(first), shape), patches, axis=1)
    return patches if trunk.no_embed_class else graph.one("Add", patches, position)


def _attention_pool(graph: Graph, rows: str, weights: Weights, pool: Any, block: Block, count: str) -> str:
    """timm's pooling by a learnt query: ``rows`` (n, tokens, width) → (n, width)."""
    if pool.pos_embed is not None or not _absent(pool.q_norm) or not _absent(pool.k_norm) or pool.mlp is None:
        raise UnknownOperation("an unusual pooling by attention")
    import torch

    width = block.width
    with torch.no_grad():
        query: NDArray[np.float32] = pool.q(pool.latent).float().numpy()
    shape = graph.one("Concat", count, graph.numbers(1, query.shape[2]), axis=0)
    asked = graph.one("Expand", graph.constant(query), shape)
    weight = weights.take("attn_pool.kv.weight", 2 * width, width)
    bias = weights.take("attn_pool.kv.bias", 2 * width) if "attn_pool.kv.bias" in weights else None
    key, value = (
        graph.one("MatMul", rows, graph.constant(part.T)) for part in np.split(weight, 2)
    )  # fmt: skip
    if bias is not None:
        key, value = (
            graph.one("Add", side, graph.constant(part))
            for side, part in zip((key, value), np.split(bias, 2), strict=True)
        )
    mixed = graph.one("MultiHeadAttention", asked, key, value, domain=_FUSED, num_heads=pool.num_heads)
    pooled = _dense(graph, graph.one("Reshape", mixed, graph.numbers(-1, width)), weights, "attn_pool.proj")
    hidden = pooled
    if _is_norm(pool.norm):
        hidden = layer_norm(graph, pooled, weights, "attn_pool.norm", width, pool.norm.eps)
    hidden = _dense(graph, hidden, weights, "attn_pool.mlp.fc1")
    hidden = activated(graph, hidden, _activation(pool.mlp.act, gated=False))
    return graph.one("Add", pooled, _dense(graph, hidden, weights, "attn_pool.mlp.fc2"))


def _dense(graph: Graph, rows: str, weights: Weights, name: str) -> str:
    weight = weights.take(f"{name}.weight", -1, -1)
    bias = weights.take(f"{name}.bias", weight.shape[0]) if f"{name}.bias" in weights else None
    return linear(graph, rows, weight, bias)


def _head(graph: Graph, pooled: str, visual: Any) -> str:
    """open_clip's projection behind a timm trunk: nothing, one matrix, or two with an activation between."""
    import torch

    def dense(rows: str, layer: Any) -> str:
        bias = None if layer.bias is None else layer.bias.detach().float().numpy()
        return linear(graph, rows, layer.weight.detach().float().numpy(), bias)

    for part in getattr(visual, "head", torch.nn.Sequential()):
        if isinstance(part, torch.nn.Linear):
            pooled = dense(pooled, part)
        elif type(part) is _layers().Mlp and _absent(part.norm):
            pooled = dense(activated(graph, dense(pooled, part.fc1), _activation(part.act, gated=False)), part.fc2)
        elif not _absent(part):
            raise UnknownOperation(f"a head of {type(part).__name__}")
    return pooled
