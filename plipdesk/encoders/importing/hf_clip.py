"""A Hugging Face CLIP folder, such as PLIP as it is published, in open_clip's configuration and names.

The activation is what ``config.json`` says. A model built with another one loads the same weights without an error and
embeds wrongly, so it is never guessed here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plipdesk.encoders.card import EncoderProblem
from plipdesk.encoders.importing.documents import read_document, section
from plipdesk.encoders.importing.draft import Draft, layers, ratio, whole, words_known
from plipdesk.encoders.importing.pictures import from_hugging_face
from plipdesk.encoders.importing.tokens import clip_words

if TYPE_CHECKING:
    import torch

# What CLIPTextConfig and CLIPVisionConfig take where a file leaves it out.
_TEXT = {
    "vocab_size": 49408, "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 12, "layer_norm_eps": 1e-5,
    "num_attention_heads": 8, "max_position_embeddings": 77, "hidden_act": "quick_gelu", "eos_token_id": 49407,
}  # fmt: skip
_VISION = {
    "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
    "image_size": 224, "patch_size": 32, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "num_channels": 3,
}  # fmt: skip
_ACTIVATIONS: dict[str, dict[str, Any]] = {
    "quick_gelu": {"quick_gelu": True},
    "gelu": {"quick_gelu": False},
    "gelu_pytorch_tanh": {"quick_gelu": False, "act_kwargs": {"approximate": "tanh"}},
}
NOT_NORMALISED = (
    "Embeddings are L2-normalised here, always. The PLIP authors' own encode_images and encode_text return vectors "
    "that are not; cosines are the same."
)


def read_hf_clip(folder: Path, tensors: Mapping[str, torch.Tensor]) -> Draft:
    """The draft of a CLIP model in Hugging Face's layout.

    Raises:
        EncoderProblem: the configuration is incomplete, contradicts itself, or asks for what is not known here.
    """
    path = folder / "config.json"
    config = read_document(path)
    text = _complete(config, "text_config", _TEXT, path)
    vision = _complete(config, "vision_config", _VISION, path)
    dim = whole(config, "projection_dim", 512)
    architecture = _architecture(text, vision, dim, path)
    vocabulary = architecture["text_cfg"]["vocab_size"]
    eos = text["eos_token_id"]
    # 2 was written by old versions and means the highest number of all.
    if eos != 2 and eos != vocabulary - 1:
        architecture["text_cfg"] |= {"pool_type": "eos", "eos_id": whole(text, "eos_token_id", None, most=1 << 21)}
    picture, notes = from_hugging_face(folder, architecture["vision_cfg"]["image_size"])
    named, left_out = _renamed(tensors, path)
    scale = named.get("logit_scale")
    return Draft(
        layout="Hugging Face CLIP",
        architecture=architecture,
        tensors=named,
        picture=picture,
        words=clip_words(folder, architecture["text_cfg"]["context_length"]),
        logit_scale=float(scale.float().exp().item()) if scale is not None and scale.numel() == 1 else 100.0,
        left_out=left_out,
        notes=(*notes, NOT_NORMALISED),
    )


def _complete(config: Mapping[str, Any], name: str, defaults: Mapping[str, Any], path: Path) -> dict[str, Any]:
    found = {**defaults, **section(config, name, path)}
    # Files of old versions say everything twice, and what stands here counts.
    older = config.get(f"{name}_dict")
    return {**found, **defaults, **older} if isinstance(older, dict) else found


def _architecture(text: dict[str, Any], vision: dict[str, Any], dim: int, path: Path) -> dict[str, Any]:
    acts = (text["hidden_act"], vision["hidden_act"])
    if any(act not in _ACTIVATIONS for act in acts) or len({act == "quick_gelu" for act in acts}) > 1:
        raise EncoderProblem(
            f"The activations {acts[0]!r} (text) and {acts[1]!r} (pictures) cannot be had in one model here.",
            path=path,
            remedy="Check hidden_act in config.json; CLIP models have quick_gelu or gelu in both towers.",
        )
    if vision["num_channels"] != 3:
        raise EncoderProblem("The model takes pictures that are not RGB.", path=path)
    width, heads = whole(vision, "hidden_size", None), whole(vision, "num_attention_heads", None)
    return {
        "embed_dim": dim,
        "quick_gelu": acts[0] == "quick_gelu",
        "vision_cfg": {
            "image_size": whole(vision, "image_size", None, most=2048),
            "patch_size": whole(vision, "patch_size", None, most=512),
            "width": width,
            "layers": layers(vision, "num_hidden_layers", 12),
            "head_width": _share(width, heads, path),
            "mlp_ratio": ratio(whole(vision, "intermediate_size", None), width),
            **_details(vision),
        },
        "text_cfg": {
            "context_length": whole(text, "max_position_embeddings", None, most=512),
            "vocab_size": words_known(text, "vocab_size", 49408),
            "width": whole(text, "hidden_size", None),
            "heads": whole(text, "num_attention_heads", None),
            "layers": layers(text, "num_hidden_layers", 12),
            "mlp_ratio": ratio(whole(text, "intermediate_size", None), whole(text, "hidden_size", None)),
            **_details(text),
        },
    }


def _details(tower: Mapping[str, Any]) -> dict[str, Any]:
    epsilon = tower["layer_norm_eps"]
    details: dict[str, Any] = {} if epsilon == 1e-5 else {"norm_kwargs": {"eps": float(epsilon)}}
    act = _ACTIVATIONS[tower["hidden_act"]].get("act_kwargs")
    return details if act is None else {**details, "act_kwargs": act}


def _share(width: int, heads: int, path: Path) -> int:
    if width % heads:
        raise EncoderProblem(f"A width of {width} cannot be shared by {heads} heads.", path=path)
    return width // heads


_OUTSIDE = {
    "logit_scale": "logit_scale",
    "text_projection.weight": "text_projection",
    "visual_projection.weight": "visual.proj",
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    # So spelt in every published file.
    "vision_model.pre_layrnorm.weight": "visual.ln_pre.weight",
    "vision_model.pre_layrnorm.bias": "visual.ln_pre.bias",
    "vision_model.post_layernorm.weight": "visual.ln_post.weight",
    "vision_model.post_layernorm.bias": "visual.ln_post.bias",
}
_TOWERS = {"text_model.encoder.layers.": "transformer.resblocks.",
           "vision_model.encoder.layers.": "visual.transformer.resblocks."}  # fmt: skip
_INSIDE = {
    "self_attn.out_proj": "attn.out_proj", "layer_norm1": "ln_1", "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
}  # fmt: skip
_PROJECTIONS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")


def _renamed(tensors: Mapping[str, torch.Tensor], path: Path) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    import torch

    named: dict[str, torch.Tensor] = {}
    left_out = [name for name in tensors if name not in _OUTSIDE and not name.startswith(tuple(_TOWERS))]
    for name in tensors.keys() & _OUTSIDE.keys():
        turned = name in ("text_projection.weight", "visual_projection.weight")
        named[_OUTSIDE[name]] = tensors[name].T.contiguous() if turned else tensors[name]
    for prefix, new_prefix in _TOWERS.items():
        for place, parts in _blocks(tensors, prefix):
            for part, tensor in parts.items():
                inside, _, kind = part.rpartition(".")
                if inside in _INSIDE:
                    named[f"{new_prefix}{place}.{_INSIDE[inside]}.{kind}"] = tensor
            for kind in ("weight", "bias"):
                three = [parts.get(f"{name}.{kind}") for name in _PROJECTIONS]
                found = [part for part in three if part is not None]
                if len(found) < 3 or len({part.shape for part in found}) > 1:
                    raise EncoderProblem(
                        f"The weights lack a part of the attention of {prefix}{place}.",
                        path=path.parent,
                        remedy="Copy or download the model's weights again.",
                    )
                named[f"{new_prefix}{place}.attn.in_proj_{kind}"] = torch.cat(found)
    return named, tuple(sorted(left_out))


def _blocks(tensors: Mapping[str, torch.Tensor], prefix: str) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
    blocks: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(prefix):
            place, _, part = name.removeprefix(prefix).partition(".")
            blocks.setdefault(place, {})[part] = tensor
    yield from blocks.items()
