"""Models as others publish them, tiny and random, written into folders for the tests of importing."""

from __future__ import annotations

import gzip
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from plipdesk.encoders.tokenizer import open_clip_merges

CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]
PROCESSOR: dict[str, Any] = {
    "crop_size": 64, "do_center_crop": True, "do_normalize": True, "do_resize": True, "image_mean": CLIP_MEAN,
    "feature_extractor_type": "CLIPFeatureExtractor", "image_std": CLIP_STD, "resample": 3, "size": 64,
}  # fmt: skip
TEXT: dict[str, Any] = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "vocab_size": 49408, "eos_token_id": 2,
}  # fmt: skip
VISION: dict[str, Any] = {
    "hidden_size": 96, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 3,
    "image_size": 64, "patch_size": 16,
}  # fmt: skip


def shaken(model: torch.nn.Module, seed: int = 7) -> Any:
    """``model`` with every number moved, so that no bias of zero or gain of one hides a mistake."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
    return model.eval()


@lru_cache(maxsize=1)
def clip_vocabulary() -> tuple[dict[str, int], list[str]]:
    """CLIP's vocabulary and merges as Hugging Face writes them, from open_clip's own file."""
    merges = gzip.decompress(open_clip_merges().read_bytes()).decode().split("\n")[1 : 49152 - 256 - 2 + 1]
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(byte) for byte in plain] + [chr(256 + n) for n in range(256 - len(plain))]
    words = [*letters, *(letter + "</w>" for letter in letters), *("".join(merge.split()) for merge in merges)]
    return {word: number for number, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}, merges


def write_json(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document), encoding="utf-8")


def write_clip_tokenizer(folder: Path) -> None:
    vocabulary, merges = clip_vocabulary()
    write_json(folder / "vocab.json", vocabulary)
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")


def hf_clip_model(text: dict[str, Any] | None = None, vision: dict[str, Any] | None = None) -> Any:
    from transformers import CLIPConfig, CLIPModel

    config = CLIPConfig(text_config=TEXT | (text or {}), vision_config=VISION | (vision or {}), projection_dim=32)
    return shaken(CLIPModel(config))


def write_hf_clip(folder: Path, model: Any, *, pickle: bool = False) -> Path:
    """A folder as vinid/plip is: configuration, weights, picture rules, vocabulary and merges."""
    folder.mkdir(parents=True, exist_ok=True)
    model.config.save_pretrained(folder)
    if pickle:
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    else:
        from safetensors.torch import save_file

        save_file({name: tensor.clone() for name, tensor in model.state_dict().items()}, folder / "model.safetensors")
    write_json(folder / "preprocessor_config.json", PROCESSOR)
    write_clip_tokenizer(folder)
    return folder


BERT: dict[str, Any] = {
    "vocab_size": 0, "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 192,
    "max_position_embeddings": 64,
}  # fmt: skip
_BERT_WORDS = ["gland", "##ular", "stroma", "tumor", "cell", "##s", "of", "a", "the", "in", "fat", "µ", "m", "病", "。"]


def bert_vocabulary() -> list[str]:
    """A small vocabulary of BERT's kind: special words, letters, letters inside words, some words."""
    letters = [chr(code) for code in [*range(33, 127), *range(0xE0, 0xFF), 0x3B1, 0x3B2, 0x440, 0x430]]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    return list(dict.fromkeys([*words, *_BERT_WORDS]))


def write_bert_tokenizer(folder: Path, *, as_json: bool) -> None:
    """``vocab.txt``, or the ``tokenizer.json`` that transformers writes."""
    (folder / "vocab.txt").write_text("\n".join(bert_vocabulary()) + "\n", encoding="utf-8")
    if as_json:
        from transformers import BertTokenizer

        BertTokenizer(str(folder / "vocab.txt"), do_lower_case=True).save_pretrained(folder)
        (folder / "vocab.txt").unlink(missing_ok=True)


def write_open_clip(
    folder: Path, config: dict[str, Any], tensors: dict[str, torch.Tensor], *, pickle: bool = False,
    preprocess: dict[str, Any] | None = None,
) -> Path:  # fmt: skip
    """A folder as open_clip pushes it to the hub."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "open_clip_config.json", {"model_cfg": config, "preprocess_cfg": preprocess or {}})
    save_tensors(folder / ("open_clip_pytorch_model.bin" if pickle else "open_clip_model.safetensors"), tensors)
    return folder


def save_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    """``tensors`` as a pickle or as safetensors, by the name's ending."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, path)
    else:
        torch.save(tensors, path)
    return path
