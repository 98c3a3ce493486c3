"""Small random models in folders of their own, for the tests of this room."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

SMALL_VIT: dict[str, Any] = {
    "embed_dim": 64,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 64, "layers": 3, "width": 128, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 3},
}
SMALL_LITE: dict[str, Any] = {
    "embed_dim": 48,
    "custom_text": True,
    "vision_cfg": {
        "timm_model_name": "tf_efficientnet_lite0",
        "timm_pool": "avg",
        "timm_proj": "linear",
        "image_size": 64,
    },
    "text_cfg": {"context_length": 32, "vocab_size": 600, "width": 64, "heads": 4, "layers": 2, "proj_bias": True},
}
VIT_B_32: dict[str, Any] = {
    "embed_dim": 512,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 224, "layers": 12, "width": 768, "patch_size": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12},
}
MERGES = "#version: test\ng l\ngl a\nn d</w>\ngla nd</w>\ns t\nst r\no m\nom a</w>\nstr oma</w>"
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def card_document(folder: Path, architecture: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A whole card for the files that lie in ``folder``."""
    own_merges = (folder / "merges.txt").is_file()
    names = {"weights": "model.safetensors", **({"tokenizer": "merges.txt"} if own_merges else {})}
    document = {
        "schema_version": 1,
        "id": folder.name,
        "name": "A random model",
        "architecture": architecture,
        "files": {
            role: {"name": name, "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest()}
            for role, name in names.items()
        },
        "dim": architecture["embed_dim"],
        "input_px": architecture["vision_cfg"]["image_size"],
        "mpp_um": 0.5,
        "mean": CLIP_MEAN,
        "std": CLIP_STD,
        "interpolation": "bicubic",
        "resize": "shortest-edge-and-centre-crop",
        "tokenizer": {"kind": "clip-bpe", "file": "merges.txt" if own_merges else None, "lower_case": True},
        "context_length": architecture["text_cfg"]["context_length"],
        "logit_scale": 10.0,
        "prompt_templates": ["{}", "an H&E image of {}"],
        "languages": ["en"],
        "licence": "Apache-2.0",
        "source": "random numbers",
        "training_data": "none",
        "intended_use": "tests",
        "credit": "",
        "scores": {},
        "notes": [],
    }
    return document | changes


def write_model(folder: Path, architecture: dict[str, Any], *, half: bool = False, **changes: Any) -> Path:
    """Random weights of ``architecture`` and their card in ``folder``; returns ``folder``."""
    import torch
    from safetensors.torch import save_file

    from plipdesk.encoders.architecture import build_model

    torch.manual_seed(5)
    model = build_model(architecture)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            # Fresh statistics would hide a mistake in folding them.
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.half() if half else tensor for name, tensor in model.state_dict().items()}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")
    if architecture["text_cfg"].get("vocab_size", 49408) < 49408:
        (folder / "merges.txt").write_bytes(MERGES.encode())
    (folder / "card.json").write_text(json.dumps(card_document(folder, architecture, **changes)), encoding="utf-8")
    return folder


def random_patches(count: int, size: int, seed: int = 1) -> np.ndarray:
    """Patches uint8 (count, size, size, 3) with structure at several scales."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (count, 4, 4, 3)).repeat(size // 4, axis=1).repeat(size // 4, axis=2)
    fine = random.integers(-30, 31, (count, size, size, 3))
    return np.clip(coarse + fine, 0, 255).astype(np.uint8)


def lowest_cosine(first: np.ndarray, second: np.ndarray) -> float:
    """The lowest cosine between rows of the same place; both must be L2-normalised."""
    assert first.shape == second.shape
    assert first.dtype == second.dtype == np.float32
    assert np.allclose(np.linalg.norm(first, axis=1), 1, atol=1e-5)
    return float((first.astype(np.float64) * second).sum(axis=1).min())
