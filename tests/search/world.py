"""A small workspace with hand-made vectors and an encoder whose answers are known beforehand."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.paths import Workspace
from plipdesk.catalogue.catalogue import Catalogue
from plipdesk.catalogue.rows import EmbeddingRow, SlideRow
from plipdesk.encoders.card import EncoderCard, EncoderProblem
from plipdesk.encoders.null import null_card
from plipdesk.encoders.vocabulary import Term, Vocabulary
from plipdesk.index.segment import IndexSettings
from plipdesk.index.vector_index import VectorIndex
from plipdesk.index.vectors import write_vectors
from plipdesk.search.searcher import Searcher

Float32s = NDArray[np.float32]
SIZE0_PX = 100.0


def unit(*numbers: float) -> Float32s:
    """A vector of unit length."""
    vector = np.array(numbers, dtype=np.float32)
    return vector / np.float32(np.linalg.norm(vector))


class KnownEncoder:
    """An encoder that knows a few words, and sees the mean colour of pictures as the first three numbers."""

    def __init__(self, words: Mapping[str, Float32s], dim: int, *, has_words: bool = True, mpp_um: float = 0.5) -> None:
        card = null_card().model_dump()
        card.update(id="known", dim=dim, input_px=64, mpp_um=mpp_um)
        if not has_words:
            card.update(context_length=0, prompt_templates=())
            card["tokenizer"].update(kind="none")
        self._card = EncoderCard.model_validate(card)
        self.words = dict(words)
        # What encoders said is remembered by fingerprint, so that one who says something else needs another.
        said = "".join(f"{word}{vector.tobytes().hex()}" for word, vector in self.words.items())
        self.fingerprint = hashlib.sha256(said.encode()).hexdigest()[:32]
        self.runtime = "known"
        self.shown: list[NDArray[np.uint8]] = []

    @property
    def card(self) -> EncoderCard:
        return self._card

    def encode_patches(self, pixels: NDArray[np.uint8]) -> Float32s:
        assert pixels.shape[1:] == (64, 64, 3)
        return self.encode_pictures(list(pixels))

    def encode_pictures(self, pictures: Sequence[NDArray[np.uint8]]) -> Float32s:
        self.shown += list(pictures)
        rows = np.zeros((len(pictures), self._card.dim), dtype=np.float32)
        for row, picture in zip(rows, pictures, strict=True):
            row[:3] = picture.reshape(-1, 3).mean(axis=0) + 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def encode_texts(self, texts: Sequence[str]) -> Float32s:
        if not self._card.has_words:
            raise EncoderProblem("no words")
        return np.stack([self.words[text] for text in texts])

    def truncated(self, text: str) -> bool:
        return len(text) > 60

    def close(self) -> None:
        pass


def vocabulary_of(words: Sequence[str]) -> Vocabulary:
    """A vocabulary of these words; the Chinese of the n-th has n strokes of 一."""
    terms = tuple(
        Term(id=f"t{number}", name=word, category="tissue", synonyms=(f"synonym {number}",), zh="一" * (number + 1))
        for number, word in enumerate(words)
    )
    return Vocabulary(schema_version=1, version=1, terms=terms)


class SearchWorld:
    """A workspace that can be searched. Slides are named by a letter: their id is that letter 32 times."""

    def __init__(
        self,
        folder: Path,
        *,
        dim: int = 4,
        words: Mapping[str, Float32s] | None = None,
        has_words: bool = True,
        settings: IndexSettings | None = None,
    ) -> None:
        self.workspace = Workspace(folder / "workspace")
        self.catalogue = Catalogue.open(self.workspace)
        self.encoder = KnownEncoder(words or {}, dim, has_words=has_words)
        self.index = VectorIndex(
            self.workspace.index / "f", dim=dim, encoder_fingerprint=self.encoder.fingerprint, settings=settings
        )
        self.vocabulary = vocabulary_of(list(words or {"tissue": unit(1)}))
        self.searcher = Searcher(
            self.catalogue, lambda _fingerprint: self.index, lambda _id: self.encoder, self.workspace, self.vocabulary
        )

    def close(self) -> None:
        """Close the catalogue and what watches it."""
        self.searcher.close()
        self.catalogue.close()

    def add(
        self,
        letter: str,
        vectors: Sequence[Float32s] | Float32s,
        *,
        at: Sequence[tuple[int, int]] | None = None,
        path: Path | None = None,
        patch_mpp_um: float = 0.5,
        size0_px: float = SIZE0_PX,
        width_px: int = 10_000,
        height_px: int = 1000,
        collection: str | None = None,
        **said: str,
    ) -> int:
        """Commit a slide; patches lie in one row, 100 pixels apart, unless ``at`` says where. Returns the part id."""
        stacked = np.stack(list(vectors)).astype(np.float32)
        places = np.array(at if at is not None else [(100 * number, 0) for number in range(len(stacked))], np.int32)
        slide_id = (letter * 32)[:32]
        slide = SlideRow(
            slide_id=slide_id,
            path=str(path or self.workspace.root / f"{letter}.svs"),
            name=f"{letter}.svs",
            format="test",
            vendor=None,
            width_px=width_px,
            height_px=height_px,
            mpp_um=0.25,
            mpp_source="given",
            objective_power=None,
            file_bytes=1,
            file_mtime_ns=1,
            case=said.get("case"),
            stain=said.get("stain"),
            organ=said.get("organ"),
        )
        tiling_id = f"{round(patch_mpp_um * 1000):016x}"
        file = self.workspace.vectors_file(slide_id, tiling_id, self.encoder.fingerprint)
        write_vectors(file, embeddings=stacked, x0_px=places[:, 0], y0_px=places[:, 1], settings={})
        row = EmbeddingRow(
            slide_id=slide_id,
            tiling_id=tiling_id,
            encoder_fingerprint=self.encoder.fingerprint,
            encoder_id="known",
            tiling={},
            patch_mpp_um=patch_mpp_um,
            size0_px=size0_px,
            file=self.workspace.relative(file),
            patches=len(stacked),
            dim=stacked.shape[1],
            tissue_mm2=1.0,
            seconds=1.0,
        )
        stored = self.catalogue.embeddings.commit(slide, [row], collection=collection)
        self.index.add(stored[0].embedding_id, file, len(stacked))
        return stored[0].embedding_id
