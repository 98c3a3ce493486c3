"""Small random models for the tests of this room."""

from __future__ import annotations

from typing import Any

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
    "text_cfg": {"context_length": 32, "vocab_size": 600, "width": 64, "heads": 4, "layers": 2},
}
