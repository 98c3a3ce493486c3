"""Scores the shipped model again on the held-out cases of the atlas, with chance, probes and the floor beside it.

    python -m benchmarks.embedded_model [--data DIR] [--model DIR] [--write-card] [--baselines]

``--baselines`` also scores frozen ImageNet features with linear heads, and the floor: frozen features and sentence
embeddings drawn together by two linear layers. They need the packages of plipdesk[train-mini].
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.metrics import Interval
from plipdesk.base.resources import resource_path
from plipdesk.encoders.card import EncoderCard, load_card
from plipdesk.encoders.loading import InstalledEncoder, load_encoder
from plipdesk.encoders.preprocess import fit_picture
from plipdesk.slides.thumbnails import decode_picture
from plipdesk.training.corpus import read_synonyms
from plipdesk.training.export import write_card
from plipdesk.training.scoring import HeldOut, Scores, held_out, score, tag_scores

REPOSITORY = Path(__file__).resolve().parent.parent
Encode = Callable[[Sequence[str]], NDArray[np.float32]]
COLUMNS = ("map", "p10", "synonym_map", "synonym_p10", "image_p10")


def read_notes(data: Path) -> tuple[list[Path], list[list[str]], list[str], list[str]]:
    """Paths, tags, captions and cases of all annotated tiles."""
    notes = [json.loads(line) for line in (data / "tiles" / "annotations.jsonl").read_text("utf-8").splitlines()]
    return (
        [data / "tiles" / note["path"] for note in notes],
        [note["tags"] for note in notes],
        [note["caption"] for note in notes],
        [note["path"].split("/")[0] for note in notes],
    )


def read_pixels(paths: Sequence[Path], card: EncoderCard) -> NDArray[np.uint8]:
    """Pictures as the model takes them (n, input_px, input_px, 3)."""
    return np.stack([fit_picture(decode_picture(path), card) for path in paths])


def probes(features: NDArray[np.float32], tags: list[list[str]], held: NDArray[np.bool_], truth: HeldOut) -> Scores:
    """Frozen features with one logistic regression per scored tag (scikit-learn, standardised)."""
    from sklearn.linear_model import LogisticRegression

    normal = (features - features[~held].mean(axis=0)) / (features[~held].std(axis=0) + 1e-4)
    scores = np.zeros(truth.labels.shape, dtype=np.float32)
    for place, tag in enumerate(truth.tags):
        labels = np.array([tag in row for row in tags])
        if labels[~held].any():
            model = LogisticRegression(C=1e-3, max_iter=100, class_weight="balanced").fit(normal[~held], labels[~held])
            scores[:, place] = model.decision_function(normal[held])
    unit = normal[held] / np.linalg.norm(normal[held], axis=1, keepdims=True)
    return score(truth, scores, None, None, unit.astype(np.float32))


def floor(
    features: NDArray[np.float32],
    tags: list[list[str]],
    captions: list[str],
    held: NDArray[np.bool_],
    truth: HeldOut,
    kept_words: list[str],
    *,
    steps: int = 60,
) -> Scores:
    """Frozen features and MiniLM sentence embeddings, two linear layers, CLIP's loss on captions and lists of tags.

    ``steps`` were chosen by cross-validation over the training cases (60 of 60, 120, 300, 600: more steps overfit).
    """
    import torch
    from torch.nn import functional

    from plipdesk.training.starting import SentenceTeacher

    teacher = SentenceTeacher()

    def sentences(texts: Sequence[str]) -> NDArray[np.float32]:
        blocks = [list(texts[start : start + 64]) for start in range(0, len(texts), 64)]
        return np.concatenate([teacher.encode(block, most_tokens=64) for block in blocks])

    train = np.flatnonzero(~held)
    lists = [", ".join(tags[place]) for place in train]
    hidden = np.array([any(word in captions[place].lower() for word in kept_words) for place in train])
    table = {text: place for place, text in enumerate(dict.fromkeys([*lists, *(captions[p] for p in train)]))}
    words = torch.from_numpy(sentences(list(table)))
    mean, spread = features[train].mean(axis=0), features[train].std(axis=0) + 1e-4
    inputs = torch.from_numpy((features - mean) / spread)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    image, text = torch.nn.Linear(features.shape[1], 256, bias=False), torch.nn.Linear(384, 256, bias=False)
    scale = torch.nn.Parameter(torch.tensor(float(np.log(1 / 0.07))))
    learning = [*image.parameters(), *text.parameters(), scale]
    optimiser = torch.optim.AdamW(learning, lr=1e-3, weight_decay=1e-4)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * 0.5 * (1 + np.cos(np.pi * step / steps))
        picked = rng.choice(len(train), 256, replace=False)
        listed = (rng.random(256) >= 0.5) | hidden[picked]
        chosen = [table[lists[p] if as_list else captions[train[p]]] for p, as_list in zip(picked, listed, strict=True)]
        pictures = functional.normalize(image(inputs[train[picked]]), dim=1)
        logits = pictures @ functional.normalize(text(words[chosen]), dim=1).T * scale.exp().clamp(max=100)
        own = torch.arange(256)
        loss = (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.inference_mode():
        images = functional.normalize(image(inputs[np.flatnonzero(held)]), dim=1).numpy()

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        with torch.inference_mode():
            found: NDArray[np.float32] = functional.normalize(text(torch.from_numpy(sentences(texts))), dim=1).numpy()
        return found

    by_words, by_synonyms, owner = tag_scores(truth, images, encode)
    return score(truth, by_words, by_synonyms, owner, images)


def frozen_features(pixels: NDArray[np.uint8], card: EncoderCard, threads: int) -> NDArray[np.float32]:
    """The last pooled features (n, 1280) of EfficientNet-Lite0 with its ImageNet weights."""
    import timm

    from plipdesk.encoders.trunk_features import trunk_features
    from plipdesk.training.starting import load_lite0

    trunk = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    load_lite0(trunk)
    trunk.reset_classifier(0)
    run = trunk_features(trunk, input_px=card.input_px, mean=card.mean, std=card.std, threads=threads)
    return np.concatenate([run(pixels[start : start + 32]) for start in range(0, len(pixels), 32)])


def _row(name: str, figures: dict[str, Interval]) -> str:
    cells = [
        f"{figures[column].value:.3f} [{figures[column].low:.3f}, {figures[column].high:.3f}]"
        if column in figures
        else "-"
        for column in COLUMNS
    ]
    return " | ".join([name.ljust(24), *(cell.ljust(21) for cell in cells)])


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table; with ``--write-card`` put the model's figures into its card."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = os.environ.get("PLIPDESK_REALDATA", REPOSITORY.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--model", type=Path, default=resource_path("models/plipdesk-mini"))
    parser.add_argument("--write-card", action="store_true")
    parser.add_argument("--baselines", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    options = parser.parse_args(arguments)

    import yaml

    split = yaml.safe_load(resource_path("splits/atlas-heldout.yaml").read_text("utf-8"))
    synonyms = read_synonyms(resource_path("splits/atlas-synonyms.yaml"))
    card = load_card(options.model)
    paths, tags, captions, cases = read_notes(options.data)
    held = np.isin(cases, split["held_out"])
    places = np.flatnonzero(held)
    truth = held_out([tags[p] for p in places], [cases[p] for p in places], split["scored_tags"], synonyms)

    encoder = load_encoder(InstalledEncoder(card, options.model, True), runtime="onnx", threads=options.threads)
    pixels = read_pixels([paths[p] for p in places], card)
    began = time.perf_counter()
    images = np.concatenate([encoder.encode_patches(pixels[s : s + 32]) for s in range(0, len(places), 32)])
    seconds = time.perf_counter() - began
    by_words, by_synonyms, owner = tag_scores(truth, images, encoder.encode_texts)
    found = score(truth, by_words, by_synonyms, owner, images)
    began = time.perf_counter()
    for tag in truth.tags:
        encoder.encode_texts([tag])
    query_ms = 1000 * (time.perf_counter() - began) / len(truth.tags)

    rng = np.random.default_rng(0)
    random = rng.normal(size=(len(places), 8)).astype(np.float32)
    rows = {
        "chance": score(truth, rng.random(truth.labels.shape), None, None, random).figures,
        card.id: found.figures,
    }
    if options.baselines:
        kept = [word.lower() for own in synonyms.values() for word in own]
        features = frozen_features(read_pixels(paths, card), card, options.threads)
        rows["linear probes"] = probes(features, tags, held, truth).figures
        rows["floor"] = floor(features, tags, captions, held, truth, kept).figures
    print(" " * 24, *(column.ljust(21) for column in COLUMNS), sep=" | ")
    for name, figures in rows.items():
        print(_row(name, figures))
    for tag, (own, other) in sorted(found.by_tag.items(), key=lambda item: -item[1][0]):
        print(f"  {tag:32s} {own:.3f} {other:.3f}  {int(truth.labels[:, truth.tags.index(tag)].sum())} tiles")
    print(f"{len(places) / seconds:.0f} images/s, {query_ms:.1f} ms a text query, {options.threads} threads")
    document: dict[str, Any] = {
        name: {column: [value.value, value.low, value.high] for column, value in figures.items()}
        for name, figures in rows.items()
    }
    if options.out:
        options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if options.write_card:
        scores = {f"heldout_{name}": round(value.value, 4) for name, value in found.figures.items()}
        write_card(options.model, card.model_copy(update={"scores": scores}))


if __name__ == "__main__":
    main()
