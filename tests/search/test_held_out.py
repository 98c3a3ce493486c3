"""On tiles of cases that no training saw: 20 words of what is there, 20 of what is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.stands_out import NOT_THERE, THERE, held_out
from plipdesk.encoders.loading import find_encoder, load_encoder
from plipdesk.encoders.vocabulary import load_vocabulary
from plipdesk.search.query import Query, TextPart
from plipdesk.search.searcher import Searcher
from tests.search.world import SearchWorld


@pytest.mark.soak
@pytest.mark.realdata
def test_words_stand_out_where_they_are_there(realdata: Path, tmp_path: Path) -> None:
    encoder = load_encoder(find_encoder(None, None))
    tiles, _ = held_out(realdata)
    world = SearchWorld(tmp_path, dim=encoder.card.dim)
    world.encoder.fingerprint = encoder.fingerprint
    for start in range(0, len(tiles), 64):
        paths = [realdata / "tiles" / tile for tile in tiles[start : start + 64]]
        pictures = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
        world.add(f"{start // 64:02x}", encoder.encode_pictures(pictures))
    vocabulary = load_vocabulary()
    searcher = Searcher(world.catalogue, lambda _: world.index, lambda _: encoder, world.workspace, vocabulary)

    def stands_out(word: str) -> bool:
        return searcher.search(Query(texts=(TextPart(word),))).stands_out

    right = sum(stands_out(word) for word in THERE) + sum(not stands_out(word) for word in NOT_THERE)
    assert right >= 0.8 * (len(THERE) + len(NOT_THERE))
    searcher.close()
    world.close()
