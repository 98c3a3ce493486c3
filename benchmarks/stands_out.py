"""Does "stands out" tell what is there from what is not? On tiles of held-out cases.

    python -m benchmarks.stands_out [--folder DIR] [--encoder ID]

Needs the real data (PLIPDESK_REALDATA, default ../shared/data). Three sets of words, all written before anything was
measured:

- *words*: 20 that are there (tags of many held-out tiles) and 20 that are not (tags of no held-out tile, and organs of
  which no held-out case is); all tiles together are the index;
- *synonyms*: other words for what is there, never used in training, and more words for what is not;
- *cases*: each held-out case is an index of its own; there is a tag of at least five of its tiles, not there a tag of
  none (a tag that nobody gave to a tile may be there all the same).

And two of pictures:

- *regions*: each held-out case is an index of its own; there is a tile whose first tag five others have, not there a
  tile of another case with whose tags no tile of this one has any in common;
- *pictures*: tiles against all other cases; there is one whose first tag ten others have, not there one whose has none.

For each rule the table tells the share of words that are there and stand out, and of words that are not there and do
not; and the area under the curve, which no threshold enters.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from benchmarks.common import table, write_result
from plipdesk.base.paths import cache_folder
from plipdesk.base.resources import resource_path
from plipdesk.encoders.loading import find_encoder, load_encoder
from plipdesk.encoders.prompts import encode_prompt
from plipdesk.encoders.protocol import Encoder
from plipdesk.encoders.vocabulary import load_vocabulary
from plipdesk.search.calibration import (
    BEST_PATCHES,
    PATCHES_EXCEEDED,
    RANDOM_PATCHES,
    RANDOM_QUERIES,
    SAMPLE_SEED,
    WORDS_EXCEEDED,
    TermVectors,
    random_vectors,
)

Floats = NDArray[np.float32]
Statistic = Callable[[Floats, Floats, Floats], Floats]

THERE = (
    "adipose tissue", "hepatocytes", "smooth muscle", "gastric glands", "colonic crypts", "blood vessel", "blood",
    "lymphoid aggregate", "squamous epithelium", "keratin", "goblet cells", "mucin", "gallbladder mucosa",
    "skin dermis", "adenocarcinoma", "fibrous stroma", "meningothelial tumor", "anthracotic pigment",
    "cytology smear", "necrosis",
)  # fmt: skip
NOT_THERE = (
    "glomerulus", "pancreatic acini", "trabecular bone", "amyloid", "urothelium", "lung alveoli", "thyroid follicles",
    "seminiferous tubules", "cardiac muscle", "retina", "chorionic villi", "prostatic glands", "cerebellar cortex",
    "tooth enamel", "breast lobules", "melanoma", "fungal hyphae", "bone marrow", "spermatozoa", "lens of the eye",
)  # fmt: skip
MORE_NOT_THERE = (
    "epididymis", "pineal gland", "vulva", "umbilical cord", "parathyroid gland", "tooth pulp", "anterior pituitary",
    "bronchus", "choroid plexus", "corpus luteum", "dentin", "decidua", "endometrial glands",
    "fallopian tube epithelium", "Hassall corpuscles", "hair shaft", "islets of Langerhans", "myometrium",
    "olfactory mucosa", "ovarian follicle", "Pacinian corpuscle", "rete testis", "sebaceous gland", "sweat gland",
    "synovium", "taste buds", "tendon", "optic nerve", "Purkinje cells", "Leydig cells", "oocyte", "osteoclasts",
    "osteoblasts", "Reed-Sternberg cells", "megakaryocytes", "koilocytes", "Schistosoma eggs", "Echinococcus",
    "Toxoplasma", "scabies mite", "retinoblastoma", "Wilms tumor", "seminoma", "chondrosarcoma", "osteosarcoma",
    "Burkitt lymphoma", "craniopharyngioma", "basal cell carcinoma", "asbestos bodies", "Lewy bodies",
    "neurofibrillary tangles", "hydatidiform mole", "emphysema", "glomerulosclerosis",
)  # fmt: skip
NO_TISSUE = {"other", "mostly background", "out of focus", "fold or artifact"}


@dataclass(frozen=True)
class Case:
    """An index, the words that are there, and those that are not."""

    patches: Floats
    there: Floats
    not_there: Floats


def held_out(data: Path) -> tuple[list[str], list[set[str]]]:
    """Tiles (relative paths) of the cases that no training sees, and their tags."""
    split = yaml.safe_load(resource_path("splits/atlas-heldout.yaml").read_text(encoding="utf-8"))
    held = set(split["held_out"])
    with (data / "tiles" / "tiles.csv").open(encoding="utf-8", newline="") as stream:
        tiles = [row["path"] for row in csv.DictReader(stream) if row["case"] in held]
    lines = (data / "tiles" / "annotations.jsonl").read_text(encoding="utf-8").splitlines()
    tags = {entry["path"]: set(entry["tags"]) for entry in map(json.loads, lines)}
    return tiles, [tags.get(tile, set()) for tile in tiles]


def encoded(encoder: Encoder, tiles: Sequence[Path], folder: Path) -> Floats:
    """Embeddings (n, d) of the tiles, kept in ``folder``."""
    kept = folder / f"held-out-{encoder.fingerprint}.npy"
    if not kept.exists():
        blocks = []
        for start in range(0, len(tiles), 32):
            pictures = [np.asarray(Image.open(tile).convert("RGB")) for tile in tiles[start : start + 32]]
            blocks.append(encoder.encode_pictures(pictures))
        folder.mkdir(parents=True, exist_ok=True)
        np.save(kept, np.concatenate(blocks))
    vectors: Floats = np.load(kept, allow_pickle=False)
    return vectors


def best_z(queries: Floats, patches: Floats, background: Floats) -> Floats:
    """Robust deviations (q,) of each query's best hit from its scores on random patches."""
    scores = queries @ background.T
    median = np.median(scores, axis=1, keepdims=True)
    deviation = 1.4826 * np.median(np.abs(scores - median), axis=1)
    best: Floats = ((queries @ patches.T).max(axis=1) - median[:, 0]) / deviation
    return best


def best_cosines(queries: Floats, patches: Floats, _background: Floats) -> Floats:
    """Mean cosine (q,) of each query's three best patches."""
    cosines = np.sort(queries @ patches.T, axis=1)[:, -BEST_PATCHES:]
    mean: Floats = cosines.mean(axis=1)
    return mean


def area(there: Floats, not_there: Floats) -> float:
    """Probability that a word that is there gets more than one that is not."""
    return float((there[:, None] > not_there[None]).mean() + 0.5 * (there[:, None] == not_there[None]).mean())


def judged(cases: Sequence[Case], statistic: Statistic, reference: Floats, share: float) -> dict[str, Any]:
    """How often a rule is right: a query stands out if it gets more than ``share`` of the reference's queries."""
    yes: list[bool] = []
    no: list[bool] = []
    areas = []
    for case in cases:
        count = min(RANDOM_PATCHES, len(case.patches))
        chosen = np.random.default_rng(SAMPLE_SEED).choice(len(case.patches), count, replace=False)
        background = case.patches[chosen]
        limit = np.quantile(statistic(reference, case.patches, background), share)
        there = statistic(case.there, case.patches, background)
        not_there = statistic(case.not_there, case.patches, background)
        yes += (there > limit).tolist()
        no += (not_there <= limit).tolist()
        areas.append(area(there, not_there))
    return {
        "there": round(float(np.mean(yes)), 3),
        "not_there": round(float(np.mean(no)), 3),
        "area": round(float(np.mean(areas)), 3),
        "words": len(yes) + len(no),
    }


def lonely(patches: Floats) -> Floats:
    """Mean cosine (n,) of each patch with its three nearest others."""
    cosines = patches @ patches.T
    np.fill_diagonal(cosines, -2)
    mean: Floats = np.sort(cosines, axis=1)[:, -BEST_PATCHES:].mean(axis=1)
    return mean


def judged_pictures(
    patches: Floats, names: NDArray[np.str_], tags: Sequence[set[str]], first: Sequence[str | None]
) -> Any:
    """How often both rules are right about regions and pictures."""
    found: dict[tuple[str, str], tuple[list[bool], list[bool]]] = {}
    areas: dict[str, list[float]] = {"regions": [], "pictures": []}
    known = np.array([one is not None and one not in NO_TISSUE for one in first])

    def note(what: str, limits: dict[str, float], there: Floats, not_there: Floats) -> None:
        for rule, limit in limits.items():
            yes, no = found.setdefault((what, rule), ([], []))
            yes += (there > limit).tolist()
            no += (not_there <= limit).tolist()
        if len(there) and len(not_there):
            areas[what].append(area(there, not_there))

    def limits_of(index: Floats) -> dict[str, float]:
        random = best_cosines(random_vectors(index, RANDOM_QUERIES), index, index)
        chosen = np.random.default_rng(SAMPLE_SEED).permutation(len(index))[:RANDOM_QUERIES]
        own = lonely(index)[chosen]
        return {
            "3 best cosines above 80 % of random pictures": float(np.quantile(random, 0.8)),
            "3 best cosines above 10 % of the patches' own (in use)": float(np.quantile(own, PATCHES_EXCEEDED)),
        }

    whole = limits_of(patches)
    for name in sorted(set(names)):
        own, rest = np.flatnonzero(names == name), np.flatnonzero(names != name)
        counts = Counter(tag for tile in own for tag in tags[tile])
        elsewhere = Counter(tag for tile in rest for tag in tags[tile])
        there = np.array([known[tile] and counts[first[tile]] >= 6 for tile in own])
        others = [tile for tile in rest if known[tile] and not tags[tile] & set(counts)]
        if len(own) >= 20 and there.any() and others:
            strange = best_cosines(patches[others], patches[own], patches)
            note("regions", limits_of(patches[own]), lonely(patches[own])[there], strange)
        reached = best_cosines(patches[own], patches[rest], patches)
        there, not_there = (
            np.array([known[tile] and test(elsewhere[first[tile]]) for tile in own])
            for test in (lambda count: count >= 10, lambda count: count == 0)
        )
        note("pictures", whole, reached[there], reached[not_there])
    return [
        {
            "rule": rule,
            "set": what,
            "there": round(float(np.mean(yes)), 3),
            "not_there": round(float(np.mean(no)), 3),
            "area": round(float(np.mean(areas[what])), 3),
            "words": len(yes) + len(no),
        }
        for (what, rule), (yes, no) in found.items()
    ]


def main() -> None:
    """Measure, print a table, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=cache_folder() / "benchmarks", help="where embeddings are kept")
    parser.add_argument("--encoder", default=None)
    arguments = parser.parse_args()
    repository = Path(__file__).resolve().parent.parent
    data = Path(os.environ.get("PLIPDESK_REALDATA", repository.parent / "shared" / "data"))
    encoder = load_encoder(find_encoder(arguments.encoder, None))
    tiles, tags = held_out(data)
    patches = encoded(encoder, [data / "tiles" / tile for tile in tiles], arguments.folder)

    def vectors(words: Sequence[str]) -> Floats:
        return np.stack([encode_prompt(encoder, word) for word in words])

    counts = Counter(tag for some in tags for tag in some)
    synonyms = yaml.safe_load(resource_path("splits/atlas-synonyms.yaml").read_text(encoding="utf-8"))["synonyms"]
    others = [word for tag, words in synonyms.items() if counts[tag] >= 10 and tag not in NO_TISSUE for word in words]
    known = sorted(tag for tag, count in counts.items() if count >= 10 and tag not in NO_TISSUE)
    of_known = vectors(known)
    cases = []
    names = np.array([tile.split("/")[0] for tile in tiles])
    for name in sorted(set(names)):
        own = Counter(tag for tile in np.flatnonzero(names == name) for tag in tags[tile])
        there, not_there = ([test(own[tag]) for tag in known] for test in (lambda n: n >= 5, lambda n: n == 0))
        if any(there) and any(not_there):
            cases.append(Case(patches[names == name], of_known[there], of_known[not_there]))
    sets = {
        "words": [Case(patches, vectors(THERE), vectors(NOT_THERE))],
        "synonyms": [Case(patches, vectors(others), vectors(MORE_NOT_THERE))],
        "cases": cases,
    }
    terms = TermVectors(load_vocabulary(), arguments.folder / "terms").of(encoder)
    drawn = random_vectors(terms, RANDOM_QUERIES)
    rules: list[tuple[str, Statistic, Floats, float]] = [
        ("best z above 95 % of terms", best_z, terms, 0.95),
        ("best z above 95 % of random words", best_z, drawn, 0.95),
        ("3 best cosines above 95 % of terms", best_cosines, terms, 0.95),
        ("3 best cosines above 80 % of terms", best_cosines, terms, 0.8),
        ("3 best cosines above 95 % of random words", best_cosines, drawn, 0.95),
        ("3 best cosines above 90 % of random words (in use)", best_cosines, drawn, WORDS_EXCEEDED),
    ]
    rows = [
        {"rule": name, "set": title, **judged(some, statistic, reference, share)}
        for title, some in sets.items()
        for name, statistic, reference, share in rules
    ]
    lines = (data / "tiles" / "annotations.jsonl").read_text(encoding="utf-8").splitlines()
    first = {entry["path"]: next(iter(entry["tags"]), None) for entry in map(json.loads, lines)}
    rows += judged_pictures(patches, names, tags, [first.get(tile) for tile in tiles])
    print(table([list(row.values()) for row in rows], list(rows[0])))
    write_result("stands-out", {"encoder": encoder.card.id, "fingerprint": encoder.fingerprint, "rows": rows})


if __name__ == "__main__":
    main()
