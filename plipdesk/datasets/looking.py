"""A page to choose a threshold by look: candidates in bands of likeness to given pictures."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from plipdesk.base.files import atomic_write
from plipdesk.base.progress import JobContext, Json
from plipdesk.datasets.dataset import DataSet
from plipdesk.datasets.near_duplicates import nearest, normalised
from plipdesk.datasets.query_pictures import query_vectors
from plipdesk.datasets.reviewing import ReviewProblem
from plipdesk.encoders.protocol import Encoder
from plipdesk.slides.resizing import resized
from plipdesk.slides.thumbnails import decode_picture, encode_jpeg

_BAND = 0.05
_EACH, _SIDE_PX = 10, 140


def bands_of(made: DataSet, examples: Path, encoder: Encoder, out: Path, context: JobContext) -> dict[str, Json]:
    """Write the page ``out``: pairs of ``made`` by the cosine of their picture with its nearest example.

    Raises:
        ReviewProblem: the data set was not built with this encoder.
        EnvironmentProblem: no example can be read, or the page cannot be written.
    """
    embeddings = made.embeddings()
    if embeddings is None or made.document["encoder"]["fingerprint"] != encoder.fingerprint:
        raise ReviewProblem("This data set has no embeddings of this encoder.", remedy="Build it with this encoder.")
    queries = query_vectors(examples, encoder)
    vectors = normalised(np.asarray(embeddings, dtype=np.float32))
    best = np.asarray([near[0][1] for near in nearest(vectors, queries, 1, encoder.fingerprint)])
    of_row = {pair.row: number for number, pair in enumerate(made.pairs) if pair.row >= 0}
    bands: dict[int, list[int]] = {}
    for row in np.argsort(-best).tolist():
        if row in of_row:
            bands.setdefault(int(np.floor(best[row] / _BAND + 1e-6)), []).append(row)
    body = []
    for done, band in enumerate(sorted(bands, reverse=True)):
        context.report(done, len(bands), unit="bands", note="drawing")
        rows = bands[band]
        above = sum(len(others) for other, others in bands.items() if other >= band)
        body.append(f"<h2>{band * _BAND:.2f} to {(band + 1) * _BAND:.2f}: {len(rows):,} pictures</h2>")
        body.append(f'<p class="muted">least_cosine: {band * _BAND:.2f} would keep {above:,} of {len(of_row):,}</p><p>')
        body += [_picture(made, of_row[row], float(best[row])) for row in _spread(rows)]
        body.append("</p>")
    page = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>By likeness</title><style>body{font:15px/1.5'
        " system-ui,sans-serif;max-width:1000px;margin:2rem auto;padding:0 1rem}.muted{color:#59636e}img{height:140px;"
        "margin:0 6px 6px 0;border-radius:4px}h2{font-size:1.1rem;margin-bottom:0}</style></head><body>"
        f"<h1>Candidates by likeness</h1>{''.join(body)}</body></html>"
    )
    with atomic_write(out) as stream:
        stream.write(page.encode())
    counts = {f"{band * _BAND:.2f}": len(rows) for band, rows in sorted(bands.items(), reverse=True)}
    return {"candidates": len(of_row), "examples": len(queries), "by_cosine": counts, "page": str(out)}


def _spread(rows: Sequence[int]) -> Sequence[int]:
    return rows[:: max(1, len(rows) // _EACH)][:_EACH]


def _picture(made: DataSet, number: int, cosine: float) -> str:
    pair = made.pairs[number]
    pixels = decode_picture(made.layout.root / pair.image)
    scale = _SIDE_PX / pixels.shape[0]
    small = resized(pixels, max(1, round(pixels.shape[1] * scale)), _SIDE_PX)
    data = base64.b64encode(encode_jpeg(small, quality=80)).decode()
    return f'<img src="data:image/jpeg;base64,{data}" title="{cosine:.3f} {escape(pair.caption[:150])}" alt="">'
