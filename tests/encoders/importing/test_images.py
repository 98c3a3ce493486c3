from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch.nn import functional

from plipdesk.encoders.architecture import build_model
from plipdesk.encoders.card import EncoderProblem
from plipdesk.encoders.importing import import_model
from plipdesk.encoders.importing.images import read_images_only
from plipdesk.encoders.importing.trunks import told_by_shapes
from plipdesk.encoders.null import null_card
from plipdesk.encoders.onnx_runtime import open_session
from plipdesk.encoders.preprocess import fit_picture
from plipdesk.encoders.trunk_graph import trunk_graph
from tests.encoders.importing.originals import save_tensors, shaken, write_json
from tests.encoders.importing.test_hf_clip import encoders
from tests.encoders.models import lowest_cosine, random_patches

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
COLOURS = {"image_mean": list(IMAGENET[0]), "image_std": list(IMAGENET[1])}
SMALL = {"img_size": 64, "embed_dim": 192, "depth": 2, "num_heads": 3, "num_classes": 0}


def planes_of(patches: np.ndarray, mean: Any = IMAGENET[0], std: Any = IMAGENET[1]) -> torch.Tensor:
    planes = torch.from_numpy(patches).permute(0, 3, 1, 2).float() / 255
    return (planes - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)


def check(report: Any, model: Any, pool: Any = None) -> None:
    """Both runtimes say what ``model`` says, and that there are no words."""
    card = report.card
    patches = random_patches(3, card.input_px)
    with torch.inference_mode():
        features = model(planes_of(patches, card.mean, card.std))
        expected = functional.normalize(features if pool is None else pool(features), dim=-1).numpy()
    assert not card.has_words
    assert report.probe.text_cosine is None
    for encoder in encoders(report):
        assert lowest_cosine(encoder.encode_patches(patches), expected) >= 0.99999
        with pytest.raises(EncoderProblem, match="only sees pictures"):
            encoder.encode_texts(["gland"])
        encoder.close()


VITS: dict[str, dict[str, Any]] = {
    "uni": {"init_values": 1e-5},
    "registers": {"init_values": 1e-5, "reg_tokens": 4, "no_embed_class": True},
    "swiglu": {"mlp_layer": timm.layers.SwiGLUPacked, "act_layer": torch.nn.SiLU, "reg_tokens": 2, "patch_size": 8},
    "average": {"global_pool": "avg"},
    "map": {"global_pool": "map", "class_token": False},
    "pre-norm": {"pre_norm": True, "qkv_bias": False},
}


@pytest.mark.parametrize("options", VITS.values(), ids=VITS.keys())
def test_foundation_models_of_timm_s_kind(tmp_path: Path, options: dict[str, Any]) -> None:
    model = shaken(timm.create_model("vit_base_patch16_224", **SMALL | options))
    path = save_tensors(tmp_path / "uni.safetensors", model.state_dict())
    report = import_model(path, tmp_path / "models", overrides={"mpp_um": 0.5})
    assert (report.card.dim, report.card.input_px) == (192, 64)
    assert any("attention heads" in note for note in report.notes)
    check(report, model)


def test_a_folder_of_timm_s_hub_tells_more(tmp_path: Path) -> None:
    shape = {"img_size": 64, "embed_dim": 192, "depth": 2, "num_heads": 6, "num_classes": 5, "init_values": 1.0}
    model = shaken(timm.create_model("vit_base_patch16_224", **shape))
    folder = tmp_path / "UNI"
    save_tensors(folder / "model.safetensors", model.state_dict())
    told = {"mean": [0.7, 0.5, 0.7], "std": [0.2, 0.3, 0.2], "interpolation": "bicubic", "crop_pct": 0.5}
    write_json(folder / "config.json", {"architecture": "vit_base_patch16_224", "model_args": {"num_heads": 6},
                                        "pretrained_cfg": told})  # fmt: skip
    report = import_model(folder, tmp_path / "models")
    card = report.card
    assert (card.mean, card.resize_px, card.interpolation) == ((0.7, 0.5, 0.7), 128, "bicubic")
    assert card.provenance is not None
    assert card.provenance.left_out == ("head.bias", "head.weight")
    model.reset_classifier(0)
    check(report, model)


def test_densenet_as_mudipath(tmp_path: Path) -> None:
    """Inside a training script's names, which are those from before torchvision 0.3; it also did not count batches."""
    from torchvision.models import densenet121
    from torchvision.transforms import v2

    model = shaken(densenet121(num_classes=7))
    tensors = {}
    for name, tensor in model.state_dict().items():
        old = name.replace("norm1", "norm.1").replace("conv2", "conv.2") if "layer" in name else name
        if not name.endswith("num_batches_tracked"):
            tensors["module.backbone." + old] = tensor
    tensors["heads.0.weight"] = torch.zeros(3, 1024)
    path = save_tensors(tmp_path / "mudipath.safetensors", tensors)
    draft = read_images_only(None, tensors, None, path)
    assert {"heads.0.weight", "classifier.weight"} <= set(draft.left_out)
    model.classifier = torch.nn.Identity()
    ours = build_model(draft.architecture).eval()
    ours.load_state_dict(dict(draft.tensors))
    planes = planes_of(random_patches(2, 224), draft.picture.mean, draft.picture.std)
    with torch.inference_mode():
        first, second = (functional.normalize(rows, dim=-1).numpy() for rows in (ours.visual(planes), model(planes)))
    assert lowest_cosine(first, second) >= 0.99999
    rules = v2.Compose([v2.Resize(256), v2.CenterCrop(224)])
    picture = random_patches(1, 300)[0][:290]
    fitted = fit_picture(picture, draft.picture, draft.picture.resize_px)
    assert np.array_equal(fitted, np.asarray(rules(Image.fromarray(picture))))


def test_a_densenet_in_onnx_runtime(tmp_path: Path) -> None:
    import onnx

    trunk = timm.models.densenet.DenseNet(growth_rate=4, block_config=(1, 2, 1, 1), num_classes=0)
    visual = shaken(trunk)
    card = null_card().model_copy(update={"dim": trunk.num_features})
    onnx.save(trunk_graph(card, visual), tmp_path / "image.onnx")
    patches = random_patches(3, card.input_px)
    found = open_session(tmp_path / "image.onnx", 1).run(None, {"pixels": patches})[0]
    with torch.inference_mode():
        expected = functional.normalize(visual(planes_of(patches, card.mean, card.std)), dim=-1).numpy()
    assert lowest_cosine(found, expected) >= 0.99999


def test_resnet_of_torchvision(tmp_path: Path) -> None:
    from torchvision.models import resnet18

    model = shaken(resnet18())
    report = import_model(save_tensors(tmp_path / "r18.safetensors", model.state_dict()), tmp_path / "models")
    model.fc = torch.nn.Identity()
    assert report.card.architecture["vision_cfg"]["timm_model_name"] == "resnet18"
    check(report, model)


@pytest.mark.parametrize("name", ["resnet34", "resnet50", "resnet101", "densenet121", "densenet169", "densenet201"])
def test_torchvision_s_are_told_by_their_shapes(name: str) -> None:
    import torchvision

    with torch.device("meta"):
        tensors = getattr(torchvision.models, name)().state_dict()
        same = timm.create_model(name, num_classes=1000).state_dict()
    assert told_by_shapes(tensors, Path()) == (name, {})
    assert {key: tensor.shape for key, tensor in tensors.items()} == {key: t.shape for key, t in same.items()}


def test_what_shapes_do_not_tell_is_asked_for(tmp_path: Path) -> None:
    model = shaken(timm.create_model("resnet26", num_classes=0))
    path = save_tensors(tmp_path / "net.safetensors", model.state_dict())
    with pytest.raises(EncoderProblem, match="cannot be told") as caught:
        import_model(path, tmp_path / "models")
    assert "--architecture" in str(caught.value.remedy)
    report = import_model(path, tmp_path / "models", architecture="resnet26")
    check(report, model)


@pytest.mark.parametrize("published", [True, False], ids=["as on the hub", "as saved today"])
def test_phikon_as_hugging_face_vit(tmp_path: Path, published: bool) -> None:
    from transformers import ViTConfig, ViTModel

    config = ViTConfig(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128, image_size=64,
                       qkv_bias=not published)  # fmt: skip
    model = shaken(ViTModel(config, add_pooling_layer=not published))
    folder = hf_folder(tmp_path / "phikon", model, published)
    write_json(folder / "preprocessor_config.json", COLOURS | {"size": {"height": 64, "width": 64}, "resample": 2})
    report = import_model(folder, tmp_path / "models")
    assert (report.card.resize, report.card.interpolation) == ("squash", "bilinear")
    check(report, model, lambda features: features.last_hidden_state[:, 0])


@pytest.mark.parametrize("kind", ["plain", "swiglu", "registers"])
@pytest.mark.parametrize("published", [True, False], ids=["as on the hub", "as saved today"])
def test_phikon_v2_as_dinov2(tmp_path: Path, kind: str, published: bool) -> None:
    """Trained at 112 pixels and used at 56, so that its positions are stretched."""
    from transformers import Dinov2Config, Dinov2Model, Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    shape: dict[str, Any] = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 112,
                             "patch_size": 14, "use_swiglu_ffn": kind == "swiglu"}  # fmt: skip
    if kind == "registers":
        model = shaken(Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**shape)))
    else:
        model = shaken(Dinov2Model(Dinov2Config(**shape)))
    folder = hf_folder(tmp_path / "phikon-v2", model, published)
    rules = {"size": {"shortest_edge": 64}, "resample": 3, "crop_size": 56}
    write_json(folder / "preprocessor_config.json", COLOURS | rules)
    report = import_model(folder, tmp_path / "models")
    assert (report.card.input_px, report.card.resize_px, report.card.resize) == (
        56,
        64,
        "shortest-edge-and-floored-crop",
    )
    check(report, model, lambda features: features.last_hidden_state[:, 0])


def hf_folder(folder: Path, model: Any, published: bool) -> Path:
    """``model`` under today's names, or under those of every file on the hub from before transformers 5."""
    tensors = dict(model.state_dict())
    if published:
        tensors = {_old_name(name): tensor for name, tensor in tensors.items()}
        for name in [name for name in tensors if name.endswith("weights_in_gate.weight")]:
            for end in ("weight", "bias"):
                root = name.removesuffix("_gate.weight")
                pair = [tensors.pop(f"{root}_{part}.{end}") for part in ("gate", "up")]
                tensors[f"{root}.{end}"] = torch.cat(pair)
    save_tensors(folder / "model.safetensors", tensors)
    model.config.save_pretrained(folder)
    return folder


def _old_name(name: str) -> str:
    for new, old in (
        ("attention.q_proj", "attention.attention.query"), ("attention.k_proj", "attention.attention.key"),
        ("attention.v_proj", "attention.attention.value"), ("attention.o_proj", "attention.output.dense"),
        ("mlp.gate_proj", "mlp.weights_in_gate"), ("mlp.up_proj", "mlp.weights_in_up"),
        ("mlp.down_proj", "mlp.weights_out"),
    ):  # fmt: skip
        name = name.replace(new, old)
    if name.startswith("layers."):
        # ViT's own; DINOv2 keeps its mlp.
        name = "encoder.layer." + name.removeprefix("layers.")
        name = name.replace("mlp.fc1", "intermediate.dense").replace("mlp.fc2", "output.dense")
    return name
