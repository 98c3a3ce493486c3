"""From what a person asks to vectors: words, regions, pictures and slides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.errors import NotFound, UsageProblem
from plipdesk.base.geometry import Box
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.catalogue.rows import EmbeddingRow, SlideRow
from plipdesk.encoders.card import EncoderProblem
from plipdesk.encoders.prompts import encode_prompt, truncated
from plipdesk.encoders.protocol import Encoder
from plipdesk.encoders.vocabulary import Vocabulary
from plipdesk.index.vector_index import VectorIndex
from plipdesk.search.library import Library
from plipdesk.search.mosaic import Mosaic, mosaic_of
from plipdesk.search.parts import Part
from plipdesk.search.query import PicturePart, Query, RegionPart, SlidePart, TextPart
from plipdesk.search.regions import COVERED, Region, places_to_read, region_on_slide
from plipdesk.slides.opening import open_as_known
from plipdesk.slides.patches import read_patch
from plipdesk.slides.thumbnails import decode_picture

Float32s = NDArray[np.float32]
Pixels = NDArray[np.uint8]

MOST_PATCHES = 64
"""Patches that stand for a region or picture; more are told by a mosaic."""
MOSAIC_PIECES = 32
"""Patches that stand for a slide."""
_MOST_PARTS = 100
_FLAT = 4.0
"""Standard deviation of grey below which a crop of a picture shows nothing."""


@dataclass(frozen=True)
class Own:
    """Patches that the query itself shows: of a slide, those in the region, or all."""

    slide_id: str
    region: Region | None = None


@dataclass
class Asked:
    """A query in vectors."""

    parts: list[Part] = field(default_factory=list)
    mosaics: list[tuple[float, Mosaic]] = field(default_factory=list)
    """Weight and mosaic of each slide that was asked for."""
    own: list[Own] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Asker:
    """Turns queries into vectors of one encoder, with what is stored where possible."""

    def __init__(
        self, catalogue: Catalogue, library: Library, index: VectorIndex, encoder: Encoder, vocabulary: Vocabulary
    ) -> None:
        self._catalogue = catalogue
        self._library = library
        self._index = index
        self._encoder = encoder
        self._vocabulary = vocabulary

    def ask(self, query: Query) -> Asked:
        """All parts of a query.

        Raises:
            UsageProblem: nothing is asked, or a part makes no sense.
            NotFound: a slide or picture that is not there.
            EncoderProblem: words for an encoder that has none.
            SlideProblem: a region or picture that cannot be read.
        """
        check_query(query)
        asked = Asked()
        for text in query.texts:
            if text.weight:
                asked.parts.append(self._words(text, asked))
        for region in query.regions:
            if region.weight:
                asked.parts.append(self._region(region, query.patch_mpp_um, asked))
        for picture in query.pictures:
            if picture.weight:
                asked.parts.append(self._picture(picture, asked))
        for slide in query.slides:
            if slide.weight:
                asked.mosaics.append((slide.weight, self._slide(slide, query.patch_mpp_um, asked)))
        if asked.parts:
            # In a mix a slide is a part like any other: a patch is as good as its best match in the mosaic.
            asked.parts += [Part(mosaic.vectors, weight) for weight, mosaic in asked.mosaics]
            asked.mosaics = []
        return asked

    # --- words --------------------------------------------------------------------------------------------------------

    def _words(self, part: TextPart, asked: Asked) -> Part:
        text = part.text
        if "zh" not in self._encoder.card.languages:
            term = self._vocabulary.translate(text)
            if term is not None:
                asked.notes.append(f"“{text}” was read as “{term.name}”.")
                text = term.name
        vector = encode_prompt(self._encoder, text)
        if truncated(self._encoder, text):
            asked.notes.append("The words are more than the encoder can read; the last ones were left out.")
        return Part(vector[None], part.weight, kind="words")

    # --- regions ------------------------------------------------------------------------------------------------------

    def _region(self, part: RegionPart, patch_mpp_um: tuple[float, ...], asked: Asked) -> Part:
        slide = self._indexed(part.slide)
        if slide is None:
            return self._unindexed_region(part, asked)
        region = region_on_slide(part, slide.width_px, slide.height_px)
        asked.own.append(Own(slide.slide_id, region))
        vectors = self._stored(self._library.of_slide(slide.slide_id, patch_mpp_um), region)
        if vectors is None:
            vectors = self._read(Path(slide.path), slide.mpp_um, slide.channels, region, asked)
        return _condensed(vectors, part)

    def _unindexed_region(self, part: RegionPart, asked: Asked) -> Part:
        path = Path(part.slide)
        with open_as_known(path) as reader:
            region = region_on_slide(part, reader.info.width_px, reader.info.height_px)
        return _condensed(self._read(path, None, None, region, asked), part)

    def _stored(self, rows: Sequence[EmbeddingRow], region: Region) -> Float32s | None:
        """Stored vectors of the patches in a region, from the tiling nearest to the encoder's MPP that has any."""
        wanted = math.log(self._encoder.card.mpp_um)
        for row in sorted(rows, key=lambda one: (abs(math.log(one.patch_mpp_um) - wanted), one.embedding_id)):
            file = self._index.file(row.embedding_id)
            if file is not None:
                inside = np.flatnonzero(region.shares(file.x0_px, file.y0_px, row.size0_px) > COVERED)
                if len(inside):
                    return self._index.vectors(np.full(len(inside), row.embedding_id), inside.astype(np.int32))
        return None

    def _read(
        self, path: Path, mpp_um: float | None, channels: tuple[int, ...] | None, region: Region, asked: Asked
    ) -> Float32s:
        """Vectors of patches that are read and encoded now."""
        card = self._encoder.card
        with open_as_known(path, mpp_um=mpp_um, channels=channels) as reader:
            known_mpp_um = reader.info.mpp_um
            if known_mpp_um is None:
                raise UsageProblem(
                    "The size of this slide's pixels is not known.", path=path, remedy="Index it with --mpp first."
                )
            size0_px = card.input_px * card.mpp_um / known_mpp_um
            if size0_px < card.input_px / 1.02:
                asked.notes.append("The slide is coarser than what the encoder expects; the region was enlarged.")
            pixels = [
                read_patch(reader, x0_px, y0_px, size0_px, card.input_px)
                for x0_px, y0_px in places_to_read(region, size0_px)
            ]
        return self._encoder.encode_patches(np.stack(pixels))

    # --- pictures -----------------------------------------------------------------------------------------------------

    def _picture(self, part: PicturePart, asked: Asked) -> Part:
        if part.content is not None:
            picture = decode_picture(part.content)
        elif part.path is not None:
            path = Path(part.path)
            if not path.exists():
                raise NotFound("There is no such picture.", path=path, remedy="Check the path.")
            picture = decode_picture(path)
            slide = self._catalogue.slides.at_path(path)
            if slide is not None:
                asked.own.append(Own(slide.slide_id))
        else:
            raise UsageProblem("A picture is given by a file or by its content.")
        crops = crops_of(picture, self._encoder, part.mpp_um)
        return Part(self._encoder.encode_pictures(crops), part.weight, part.combine)

    # --- slides -------------------------------------------------------------------------------------------------------

    def _slide(self, part: SlidePart, patch_mpp_um: tuple[float, ...], asked: Asked) -> Mosaic:
        slide = self._indexed(part.slide)
        rows = [] if slide is None else self._library.of_slide(slide.slide_id, patch_mpp_um)
        files = [(row, file) for row in rows if (file := self._index.file(row.embedding_id)) is not None]
        files = [(row, file) for row, file in files if file.rows]
        if slide is None or not files:
            raise NotFound(
                "This slide is not indexed with this encoder.",
                path=part.slide if slide is None else slide.path,
                remedy="Index it first: plipdesk index PATH.",
            )
        asked.own.append(Own(slide.slide_id))
        wanted = math.log(self._encoder.card.mpp_um)
        row, file = min(files, key=lambda one: abs(math.log(one[0].patch_mpp_um) - wanted))
        numbers = np.arange(file.rows, dtype=np.int32)
        return mosaic_of(self._index.vectors(np.full(file.rows, row.embedding_id), numbers), MOSAIC_PIECES)

    def must_exist(self, slide: str) -> None:
        """Raise NotFound if ``slide`` names neither a slide of this workspace nor a file."""
        self._indexed(slide)

    def _indexed(self, text: str) -> SlideRow | None:
        """The slide of this workspace that ``text`` names; None if it names a file that is not indexed."""
        try:
            return self._catalogue.slides.resolve(text)
        except NotFound:
            if Path(text).is_absolute() and Path(text).exists():
                return None
            raise


def check_query(query: Query) -> None:
    """Raise UsageProblem for a query that asks nothing, or too much."""
    parts: list[TextPart | RegionPart | PicturePart | SlidePart]
    parts = [*query.texts, *query.regions, *query.pictures, *query.slides]
    weights = [part.weight for part in parts]
    if not any(weights):
        raise UsageProblem("Nothing is asked.", remedy="Give words, a region, a picture or a slide.")
    if len(weights) > _MOST_PARTS:
        raise UsageProblem(f"A query has at most {_MOST_PARTS} parts.")
    if not all(math.isfinite(weight) for weight in weights):
        raise UsageProblem("The weights of a query are finite numbers.")
    if not 1 <= query.k <= 10_000:
        raise UsageProblem(f"{query.k} hits cannot be asked for.", remedy="Ask for 1 to 10,000.")
    if not 1 <= query.per_group <= 1000:
        raise UsageProblem(f"{query.per_group} hits of a group cannot be asked for.", remedy="Ask for 1 to 1,000.")


def crops_of(picture: Pixels, encoder: Encoder, mpp_um: float | None) -> list[Pixels]:
    """Squares of a picture (h, w, 3) that the encoder is shown, at most 64.

    With a known MPP they are as large as patches, side by side. Without, they are as large as the picture's shorter
    side: one for a square picture, several for a long one. Empty ones are left out where others are not.
    """
    height, width = picture.shape[:2]
    side = float(min(height, width))
    if mpp_um is not None:
        if not (math.isfinite(mpp_um) and 0.01 <= mpp_um <= 100):
            raise UsageProblem(f"{mpp_um} µm per pixel is not a picture's MPP.", remedy="Give 0.01 to 100.")
        side = min(side, encoder.card.input_px * encoder.card.mpp_um / mpp_um)
    if side < 1:
        raise EncoderProblem("The picture is too small for its MPP.", remedy="Give its true µm per pixel.")
    cut = max(1, round(side))
    crops = [
        picture[max(y, 0) : max(y, 0) + cut, max(x, 0) : max(x, 0) + cut]
        for x, y in places_to_read(Region(Box(0, 0, width, height)), cut)
    ]
    shown = [crop for crop in crops if float(crop.mean(axis=2).std()) >= _FLAT]
    return shown or crops[:1]


def _condensed(vectors: Float32s, part: RegionPart) -> Part:
    """The part of a region; for the largest of more than 64 cosines a mosaic stands for the patches."""
    if part.combine == "max" and len(vectors) > MOST_PATCHES:
        vectors = mosaic_of(vectors, MOST_PATCHES).vectors
    return Part(vectors, part.weight, part.combine)
