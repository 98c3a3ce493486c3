"""The report of a data set as one page that needs nothing else, and its card as plain text."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.files import atomic_write
from plipdesk.datasets.dataset import DataSet, FinishedPair
from plipdesk.datasets.diagram import flow_diagram, histogram, scatter
from plipdesk.datasets.statistics import statistics_of
from plipdesk.encoders.protocol import Encoder
from plipdesk.slides.resizing import resized
from plipdesk.slides.thumbnails import decode_picture, encode_jpeg

DISCLAIMER = "For research use only. Not for diagnosis."
_EXAMPLES, _EXAMPLE_PX = 12, 200
_MAPPED = 2000
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1b1f24;background:#fff;max-width:900px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin-top:2rem}h3{font-size:1rem;margin:1rem 0 .3rem}
table{border-collapse:collapse}td,th{padding:.2rem .9rem .2rem 0;text-align:left;border-bottom:1px solid #d9d9e0}
td.n{text-align:right;font-variant-numeric:tabular-nums}.muted{color:#59636e}svg{max-width:100%;height:auto}
.warn{background:#fdf0d2;padding:.5rem .8rem}.row{display:flex;flex-wrap:wrap;gap:12px 34px;align-items:flex-start}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(200px,1fr));gap:14px}
.cards img{width:100%;height:160px;object-fit:cover;border-radius:4px}.cards p{margin:.3rem 0 0;font-size:13px}
"""


def write_report(made: DataSet, encoder: Encoder | None = None) -> dict[str, Any]:
    """Write ``report.html`` and ``card.md`` beside the data set; returns the statistics they tell.

    With an ``encoder`` that is the data set's own the map shows captions beside pictures.

    Raises:
        CountProblem: the counts do not add up (checked when the data set was opened).
        EnvironmentProblem: the folder cannot be written to.
    """
    found = statistics_of(made)
    with atomic_write(made.layout.report) as stream:
        stream.write(_page(made, found, encoder).encode())
    with atomic_write(made.layout.card) as stream:
        stream.write(_card(made, found).encode())
    return found


def _page(made: DataSet, found: Mapping[str, Any], encoder: Encoder | None) -> str:
    document = made.document
    diagram = flow_diagram(made.steps(), formed=document["formed"], by_source=document["by_source"])
    body = [
        f"<h1>{escape(made.layout.root.name)}</h1>",
        f'<p class="muted">{found["pairs"]:,} pairs · {found["pictures"]:,} pictures · {found["groups"]:,} authors or '
        f"cases · plipdesk {escape(document['version'])}</p>",
        f'<p class="warn">{DISCLAIMER}</p>',
        "<h2>Flow</h2>", diagram, "<h2>What was read</h2>", _read(document),
        "<h2>Counts</h2>", '<div class="row">',
    ]  # fmt: skip
    for title, key, most in (
        ("Source", "by_source", 20), ("Hashtag", "by_hashtag", 40), ("Year", "by_year", 30), ("Split", "by_split", 9),
        ("Stain words", "by_stain", 20), ("Organ words", "by_organ", 20), ("Licence", "by_licence", 12),
        ("Picture class", "by_class", 12), ("Identifiers found", "by_finding", 12),
    ):  # fmt: skip
        body.append(_counts(title, found[key], most))
    body += ["</div>", "<h2>Caption length</h2>"]
    for source, lengths in found["captions"].items():
        body.append(_lengths(source, lengths))
    body += ["<h2>Map</h2>", _map(made, encoder), "<h2>Examples</h2>", _examples(made)]
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(made.layout.root.name)}</title>'
        f"<style>{_STYLE}</style></head><body>{''.join(body)}</body></html>"
    )


def _read(document: Mapping[str, Any]) -> str:
    rows = [*document["read"]["seen"].items(), *document["joined"].items()]
    problems = document["read"]["problems"]
    told = "".join(f"<li>{escape(line)}</li>" for line in document["read"]["told"][:20])
    return (
        '<div class="row">'
        + _counts("Found", dict(rows), 20)
        + (_counts("Could not be read", problems, 20) if problems else "<p>Everything could be read.</p>")
        + "</div>"
        + (f'<details><summary>Where</summary><ul class="muted">{told}</ul></details>' if told else "")
    )


def _counts(title: str, counts: Mapping[str, int], most: int) -> str:
    if not counts:
        return ""
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="n">{count:,}</td></tr>' for name, count in list(counts.items())[:most]
    )
    rest = len(counts) - most
    more = f'<tr><td class="muted">{rest} more</td><td></td></tr>' if rest > 0 else ""
    return f"<div><h3>{escape(title)}</h3><table>{rows}{more}</table></div>"


def _lengths(source: str, lengths: Mapping[str, Any]) -> str:
    bins = lengths["histogram"]
    marks = []
    for words, value in (("median", lengths["median_words"]), ("paper", lengths["paper_median_words"])):
        if value is not None:
            place = max((number for number, one in enumerate(bins) if one["from"] <= value), default=0)
            low, high = bins[place]["from"], bins[place]["below"] or bins[place]["from"] * 2
            marks.append((f"{words} {value:g}", place + (value - low) / (high - low)))
    labels = [f"{one['from']}–{one['below'] - 1}" if one["below"] else f"{one['from']}+" for one in bins]
    counts = [one["captions"] for one in bins]
    return f"<h3>{escape(source)}, words</h3>" + histogram(list(zip(labels, counts, strict=True)), marks=marks)


def _map(made: DataSet, encoder: Encoder | None) -> str:
    embeddings = made.embeddings()
    if embeddings is None or len(embeddings) < 3:
        return '<p class="muted">Built without an encoder, so there is no map.</p>'
    chosen = [pair for pair in made.pairs if pair.row >= 0]
    chosen = chosen[:: max(1, len(chosen) // _MAPPED)]
    vectors = np.asarray(embeddings[[pair.row for pair in chosen]], dtype=np.float32)
    kinds = [f"picture, {pair.source}" for pair in chosen]
    said = "Pictures"
    if (
        encoder is not None
        and encoder.card.has_words
        and encoder.fingerprint == made.document["encoder"]["fingerprint"]
    ):
        words = encoder.encode_texts([pair.caption for pair in chosen])
        # The two sides of such a model lie apart; each is centred, so that one drawing shows both.
        vectors = np.concatenate([vectors - vectors.mean(0), words - words.mean(0)])
        kinds += [f"caption, {pair.source}" for pair in chosen]
        said = "Pictures and captions (each side centred)"
    flat = principal_components(vectors)
    palette = ("#7a3b8f", "#1f6f3f", "#b3541e", "#2563a8", "#8a6d00", "#a1265d", "#3d6b73", "#555555")
    colours = {kind: palette[number % len(palette)] for number, kind in enumerate(dict.fromkeys(kinds))}
    points = [(float(x), float(y), kind) for (x, y), kind in zip(flat, kinds, strict=True)]
    note = f'<p class="muted">{said} on their first two principal components; {len(chosen):,} pairs drawn.</p>'
    return scatter(points, colours) + note


def principal_components(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The first two principal components (n, 2) of ``vectors`` (n, d)."""
    centred = vectors - vectors.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    return np.asarray(centred @ axes[:, :-3:-1], dtype=np.float32)


def _examples(made: DataSet) -> str:
    pairs = made.pairs[:: max(1, len(made.pairs) // _EXAMPLES)][:_EXAMPLES]
    return f'<div class="cards">{"".join(_example(made.layout.root, pair) for pair in pairs)}</div>'


def _example(root: Path, pair: FinishedPair) -> str:
    pixels = decode_picture(root / pair.image)
    scale = min(1.0, _EXAMPLE_PX / min(pixels.shape[:2]))
    small = resized(pixels, max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    picture = base64.b64encode(encode_jpeg(small, quality=80)).decode()
    caption = pair.caption if len(pair.caption) < 160 else f"{pair.caption[:157]}…"
    return (
        f'<div><img alt="" src="data:image/jpeg;base64,{picture}"><p>{escape(caption)}</p>'
        f'<p class="muted">{escape(pair.source)} · {escape(pair.hashtag)}</p></div>'
    )


def _card(made: DataSet, found: Mapping[str, Any]) -> str:
    document = made.document
    lines = [
        f"# {made.layout.root.name}", "", DISCLAIMER, "",
        f"{found['pairs']:,} image–text pairs of {found['pictures']:,} pictures from {found['groups']:,} authors, "
        f"cases or sites, built by plipdesk {document['version']}.", "", "## Sources", "",
        *(f"- {name}: {count:,}" for name, count in found["by_source"].items()), "", "## Flow", "",
        "| step | in | kept | dropped | why |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for step in document["steps"]:
        why = "; ".join(f"{reason} {count:,}" for reason, count in step["reasons"].items())
        lines.append(f"| {step['name']} | {step['in']:,} | {step['kept']:,} | {step['dropped']:,} | {why} |")
    split = document["split"]
    lines += [
        "", "## Split", "",
        f"By {split['by']}, seed {split['seed']}: {_listed(split['pairs'])} pairs. "
        f"Pairs that share an author or a picture across splits: {split['leaks']}.",
        "", "## Captions", "",
        *(f"- {source}: median {one['median_words']} words" +
          (f" (paper: {one['paper_median_words']})" if one["paper_median_words"] else "")
          for source, one in found["captions"].items()),
        "", "## Licences", "", *(f"- {name}: {count:,}" for name, count in found["by_licence"].items()),
        "", "## Privacy", "",
        "Pictures carry no metadata. What looked like a person's data in captions: "
        + (_listed(found["by_finding"]) or "nothing") + f". Text burnt into pictures was {_looked_for(document)}.", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _looked_for(document: Mapping[str, Any]) -> str:
    steps = [step for step in document["steps"] if step["name"] == "burnt-in"]
    read = any("not read, for want of the extra ocr" not in step.get("notes", {}) for step in steps)
    return "looked for" if read else "not looked for"
