from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg, CustomTextCLIP
from PIL import Image

from plipdesk.encoders.bert import BertShape, bert_text
from plipdesk.encoders.bert_graph import bert_graph
from plipdesk.encoders.card import EncoderProblem
from plipdesk.encoders.graph import Weights
from plipdesk.encoders.importing import import_model, openclip
from plipdesk.encoders.importing.bert_tower import bert_section
from plipdesk.encoders.loading import find_encoder
from plipdesk.encoders.null import null_card
from plipdesk.encoders.onnx_runtime import open_session
from tests.encoders.importing.originals import (
    BERT,
    bert_vocabulary,
    save_tensors,
    shaken,
    write_bert_tokenizer,
    write_open_clip,
)
from tests.encoders.importing.test_hf_clip import encoders
from tests.encoders.models import SMALL_VIT, lowest_cosine, random_patches

TEXTS = ["gland", "Stroma of the TUMOR cells in a gland, 2 µm", "fat " * 90, "病。 α"]
SIGLIP: dict[str, Any] = {
    "embed_dim": 768, "init_logit_bias": -10, "custom_text": True,
    "vision_cfg": {"image_size": 224, "timm_model_name": "vit_base_patch16_siglip_224", "timm_model_pretrained": False,
                   "timm_pool": "map", "timm_proj": "none"},
    "text_cfg": {"context_length": 16, "vocab_size": 0, "hf_tokenizer_name": "timm/ViT-B-16-SigLIP",
                 "tokenizer_kwargs": {"clean": "canonicalize"}, "width": 64, "heads": 4, "layers": 2,
                 "no_causal_mask": True, "proj_bias": True, "pool_type": "last", "norm_kwargs": {"eps": 1e-6},
                 "act_kwargs": {"approximate": "tanh"}},
}  # fmt: skip


def built(config: dict[str, Any]) -> Any:
    """open_clip's own model of ``config``, shaken."""
    vision, text = CLIPVisionCfg(**config["vision_cfg"]), CLIPTextCfg(**config["text_cfg"])
    kind = CustomTextCLIP if config.get("custom_text") else CLIP
    rest = {key: config[key] for key in ("embed_dim", "quick_gelu", "init_logit_bias") if key in config}
    return shaken(kind(vision_cfg=vision, text_cfg=text, **rest))


def seen_by(model: Any, pictures: list[np.ndarray], **rules: Any) -> np.ndarray:
    from open_clip.transform import image_transform

    transform = image_transform(model.visual.image_size, is_train=False, **rules)
    with torch.inference_mode():
        planes = torch.stack([transform(Image.fromarray(picture)) for picture in pictures])
        return model.encode_image(planes, normalize=True).numpy()


def pictures_of(size: int) -> list[np.ndarray]:
    return [random_patches(1, side, seed=side)[0][: side - side // 5] for side in (size, 2 * size)]


@pytest.mark.parametrize("quick", [True, False], ids=["quick-gelu", "gelu"])
def test_quiltnet_like_folder(tmp_path: Path, quick: bool) -> None:
    config = SMALL_VIT | {"quick_gelu": quick}
    model = built(config)
    folder = write_open_clip(tmp_path / "QuiltNet", config, model.state_dict(), pickle=quick)
    report = import_model(folder, tmp_path / "models")
    assert report.card.id == "quiltnet"
    assert report.card.logit_scale == pytest.approx(model.logit_scale.exp().item(), rel=1e-5)
    pictures = pictures_of(64)
    with torch.inference_mode():
        read = model.encode_text(open_clip.tokenize(TEXTS), normalize=True).numpy()
    for encoder in encoders(report):
        assert lowest_cosine(encoder.encode_pictures(pictures), seen_by(model, pictures)) >= 0.99999
        assert lowest_cosine(encoder.encode_texts(TEXTS), read) >= 0.99999
        encoder.close()


def test_bare_checkpoint_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As PathCLIP is published: a training script's pickle; a small architecture stands in for open_clip's ViT-B-16."""
    (tmp_path / "ViT-Tiny.json").write_text(json.dumps(SMALL_VIT), encoding="utf-8")
    monkeypatch.setattr(
        openclip, "_config_file", lambda name: tmp_path / f"{name}.json" if name == "ViT-Tiny" else None
    )
    model = built(SMALL_VIT)
    weights = {f"module.{name}": tensor for name, tensor in model.state_dict().items()}
    content = {"epoch": 3, "name": "run", "state_dict": weights, "optimizer": {"lr": 0.1}}
    torch.save(content, tmp_path / "PathCLIP-base.pt")
    report = import_model(tmp_path / "PathCLIP-base.pt", tmp_path / "models", architecture="ViT-Tiny")
    assert report.card.id == "pathclip-base"
    pictures = pictures_of(64)
    for encoder in encoders(report):
        assert lowest_cosine(encoder.encode_pictures(pictures), seen_by(model, pictures)) >= 0.99999
        encoder.close()


def test_an_activation_is_never_guessed(tmp_path: Path) -> None:
    path = save_tensors(tmp_path / "PathCLIP.safetensors", built(SMALL_VIT).state_dict())
    with pytest.raises(EncoderProblem, match="which activation") as caught:
        import_model(path, tmp_path / "models")
    assert "ViT-B-32-quickgelu" in str(caught.value.remedy)
    with pytest.raises(EncoderProblem, match="weights"):
        import_model(path, tmp_path / "models", architecture="ViT-B-32")
    with pytest.raises(EncoderProblem, match="Neither open_clip nor timm"):
        import_model(path, tmp_path / "models", architecture="ViT-B-33")
    assert list((tmp_path / "models").iterdir()) == []


def test_open_clip_s_architectures_are_found() -> None:
    assert openclip._config_file("ViT-B-32-quickgelu") is not None
    assert openclip._config_file("../model_configs/ViT-B-32") is None


def biomedclip(folder: Path) -> tuple[Any, Any]:
    """A tiny BiomedCLIP: timm's ViT, transformers' BERT and open_clip's projection; the model's two halves."""
    from open_clip.hf_model import HFTextEncoder
    from transformers import BertConfig

    config = BertConfig(**BERT | {"vocab_size": len(bert_vocabulary())})
    pooler = "cls_last_hidden_state_pooler"
    text = shaken(HFTextEncoder("none", 32, config=config, pooler_type=pooler, proj_type="mlp", pretrained=False))
    vision = {"timm_model_name": "vit_tiny_patch16_224", "timm_pool": "", "timm_proj": "linear", "image_size": 224}
    small = CLIPTextCfg(context_length=4, vocab_size=8, width=8, heads=1, layers=1)
    image = shaken(CustomTextCLIP(32, CLIPVisionCfg(**vision), small)).visual
    tensors = {f"visual.{name}": tensor for name, tensor in image.state_dict().items()}
    tensors |= {f"text.{name}": tensor for name, tensor in text.state_dict().items()}
    tensors |= {"logit_scale": torch.tensor(4.2), "text.transformer.embeddings.position_ids": torch.arange(64)[None]}
    text_cfg = {"hf_model_name": "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract", "hf_proj_type": "mlp",
                "hf_tokenizer_name": "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract",
                "hf_pooler_type": pooler, "context_length": 48}  # fmt: skip
    write_open_clip(folder, {"embed_dim": 32, "vision_cfg": vision, "text_cfg": text_cfg}, tensors)
    return image, text


@pytest.mark.parametrize("pooler", ["cls_last_hidden_state_pooler", "cls_pooler", "mean_pooler"])
@pytest.mark.parametrize("projection", ["mlp", "linear", None])
def test_bert_towers_pool_and_project_as_open_clip_s(tmp_path: Path, pooler: str, projection: str | None) -> None:
    import onnx
    from open_clip.hf_model import HFTextEncoder
    from transformers import BertConfig

    config = BertConfig(**BERT | {"vocab_size": 99})
    dim = 32 if projection else BERT["hidden_size"]
    theirs = shaken(HFTextEncoder("none", dim, config=config, pooler_type=pooler, proj_type=projection))
    tensors = {f"text.{name}": tensor for name, tensor in theirs.state_dict().items()}
    said = {"hf_model_name": "some/bert", "hf_pooler_type": pooler}
    section = bert_section(said, tmp_path, tmp_path, tensors)
    ours = bert_text(BertShape.of(section), dim).eval()
    kept = {
        name: tensor for name, tensor in theirs.state_dict().items() if pooler == "cls_pooler" or "pooler" not in name
    }
    ours.load_state_dict(kept)
    ids = torch.randint(1, 99, (3, 9), generator=torch.Generator().manual_seed(1))
    ends = torch.tensor([8, 3, 5])
    ids[torch.arange(9)[None] > ends[:, None]] = 0
    with torch.inference_mode():
        expected = torch.nn.functional.normalize(theirs(ids), dim=-1).numpy()
        found = torch.nn.functional.normalize(ours(ids), dim=-1).numpy()
    assert lowest_cosine(found, expected) >= 0.99999
    card = null_card().model_copy(update={"dim": dim, "architecture": {"text_cfg": {"bert": section}}})
    graph = bert_graph(card, Weights({name: tensor.numpy() for name, tensor in tensors.items()}))
    onnx.save(graph, tmp_path / "text.onnx")
    given = {"ids": ids.numpy(), "ends": ends.numpy()}
    assert lowest_cosine(open_session(tmp_path / "text.onnx", 1).run(None, given)[0], expected) >= 0.99999


@pytest.mark.parametrize("as_json", [False, True], ids=["vocab.txt", "tokenizer.json"])
def test_biomedclip_like_folder(tmp_path: Path, as_json: bool) -> None:
    folder = tmp_path / "BiomedCLIP"
    image, text = biomedclip(folder)
    write_bert_tokenizer(folder, as_json=as_json)
    report = import_model(folder, tmp_path / "models")
    assert report.card.context_length == 48
    from open_clip.tokenizer import HFTokenizer

    if not as_json:
        from transformers import BertTokenizer

        BertTokenizer(str(folder / "vocab.txt"), do_lower_case=True).save_pretrained(folder)
    ids = HFTokenizer(str(folder), context_length=48)(TEXTS)
    with torch.inference_mode():
        read = torch.nn.functional.normalize(text(ids), dim=-1).numpy()
        planes = torch.from_numpy(random_patches(3, 224)).permute(0, 3, 1, 2).float() / 255
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (report.card.mean, report.card.std))
        seen = torch.nn.functional.normalize(image((planes - mean) / std), dim=-1).numpy()
    for encoder in encoders(report):
        assert lowest_cosine(encoder.encode_texts(TEXTS), read) >= 0.99999
        assert lowest_cosine(encoder.encode_patches(random_patches(3, 224)), seen) >= 0.99999
        assert [encoder.truncated(words) for words in TEXTS] == [False, False, True, False]
        with pytest.raises(EncoderProblem, match="empty"):
            encoder.encode_texts(["gland", "  "])
        encoder.close()


def siglip_tokenizer(folder: Path) -> int:
    """A tokenizer of T5's kind as SigLIP's: pieces with their chances, an end, filling with the end's number."""
    from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers, processors
    from tokenizers.models import Unigram

    letters = [chr(code) for code in range(97, 123)] + list("0123456789")
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), ("▁gland", -3.0), ("stroma", -3.5)]
    rules = Tokenizer(Unigram([*pieces, *((letter, -6.0) for letter in letters)], unk_id=2))
    rules.normalizer = normalizers.Sequence([normalizers.NFKC()])
    rules.pre_tokenizer = pre_tokenizers.Metaspace()
    rules.decoder = decoders.Metaspace()
    rules.add_special_tokens([AddedToken(name, special=True) for name in ("<pad>", "</s>", "<unk>")])
    rules.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    rules.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "</s>", "eos_token": "</s>"}),
        encoding="utf-8",
    )
    return len(pieces) + len(letters)


def test_siglip_like_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    # A small trunk under a name of its own stands in for the 86 million numbers of the real one.
    def vit_tiny_map(pretrained: bool = False, **given: Any) -> Any:
        from timm.models.vision_transformer import _create_vision_transformer

        shape = {"patch_size": 16, "embed_dim": 64, "depth": 2, "num_heads": 4, "class_token": False}
        return _create_vision_transformer("vit_base_patch16_224", **(shape | {"global_pool": "map"} | given))

    monkeypatch.setitem(timm.models._registry._model_entrypoints, "vit_tiny_map", vit_tiny_map)
    folder = tmp_path / "SigLIP"
    folder.mkdir()
    config = json.loads(json.dumps(SIGLIP))
    config["embed_dim"] = 64
    config["vision_cfg"]["timm_model_name"] = "vit_tiny_map"
    config["text_cfg"]["vocab_size"] = siglip_tokenizer(folder)
    model = built(config)
    rules: dict[str, Any] = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}
    write_open_clip(folder, config, model.state_dict(), preprocess=rules)
    report = import_model(folder, tmp_path / "models")
    card = report.card
    assert (card.resize, card.mean, card.tokenizer.clean) == ("squash", (0.5, 0.5, 0.5), "canonicalize")
    assert card.logit_bias == pytest.approx(model.logit_bias.item())
    assert card.logit_scale == pytest.approx(model.logit_scale.exp().item(), rel=1e-5)
    from open_clip.tokenizer import HFTokenizer

    ids = HFTokenizer(str(folder), context_length=16, clean="canonicalize")(TEXTS)
    with torch.inference_mode():
        read = model.encode_text(ids, normalize=True).numpy()
    pictures = pictures_of(224)
    seen = seen_by(model, pictures, mean=[0.5] * 3, std=[0.5] * 3, interpolation="bicubic", resize_mode="squash")
    for encoder in encoders(report):
        assert lowest_cosine(encoder.encode_texts(TEXTS), read) >= 0.99999
        assert lowest_cosine(encoder.encode_pictures(pictures), seen) >= 0.99999
        encoder.close()


def test_a_tokenizer_that_is_not_there_is_asked_for(tmp_path: Path) -> None:
    biomedclip(tmp_path / "BiomedCLIP")
    with pytest.raises(EncoderProblem, match=r"tokenizer is missing: tokenizer\.json") as caught:
        import_model(tmp_path / "BiomedCLIP", tmp_path / "models")
    assert caught.value.remedy
    assert find_encoder(None, tmp_path / "models").embedded
    assert list((tmp_path / "models").iterdir()) == []
