"""Tissue: on drawn slides of every kind of glass and dirt, by outline, and against real outlines drawn by eye."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from plipdesk.base.errors import EnvironmentProblem, NotFound
from plipdesk.base.geojson import OutlineProblem
from plipdesk.slides.drawn_tissue import mask_from_geojson
from plipdesk.slides.opening import open_slide
from plipdesk.slides.tissue import MAX_MASK_PX, TissueMask, all_tissue, detect_tissue, tissue_mask
from plipdesk.slides.tissue_detector import find_tissue
from tests.drawing import picture, tissue_picture
from tests.slides.array_reader import ArrayReader, info_of
from tests.slides.tissue_fields import Field, Stroke, all_fields, dice, draw_ink, fill, ink_density, truth

Pixels = NDArray[np.uint8]
WIDTH, HEIGHT = 600, 440
INKS = {"blue": (0.16, 0.27, 0.72), "green": (0.08, 0.48, 0.36), "red": (0.70, 0.15, 0.19), "black": (0.17, 0.15, 0.17)}


def ellipse(share: float = 0.3) -> NDArray[np.bool_]:
    """Where ``tissue_picture`` draws tissue."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    radius = np.sqrt(share / np.pi)
    return ((x - WIDTH / 2) / (radius * WIDTH)) ** 2 + ((y - HEIGHT / 2) / (radius * HEIGHT)) ** 2 <= 1


def drawn(share: float = 0.3) -> Pixels:
    return tissue_picture(WIDTH, HEIGHT, seed=4, share=share)


def on_glass(colour: tuple[int, int, int]) -> Pixels:
    """Tissue on glass of a colour: the glass filters the light of everything."""
    return np.clip(drawn() * (np.array(colour) / 243.0), 0, 255).astype(np.uint8)


def field_named(name: str) -> Field:
    return next(field for field in all_fields() if field.name == name)


@pytest.mark.parametrize(
    "colour", [(243, 243, 243), (255, 255, 255), (200, 200, 200), (238, 230, 205), (222, 221, 238)]
)
def test_any_glass_is_background(colour: tuple[int, int, int]) -> None:
    assert dice(find_tissue(on_glass(colour), 8), ellipse()) > 0.95


def test_what_the_scanner_left_out_is_background_black_or_white() -> None:
    for fill_value in (0, 255):
        pixels = on_glass((228, 226, 230))
        pixels[:60] = fill_value
        pixels[:, :80] = fill_value
        expected = ellipse()
        expected[:60] = expected[:, :80] = False
        assert dice(find_tissue(pixels, 8), expected) > 0.95


@pytest.mark.parametrize("colour", list(INKS))
def test_ink_beside_tissue_is_left_out(colour: str) -> None:
    stroke = Stroke(colour, INKS[colour], 26, 2.5, [(40, 30), (60, 400), (300, 415)])
    pixels = draw_ink(drawn(), (stroke,))
    mask = find_tissue(pixels, 8)
    assert dice(mask, ellipse()) > 0.95
    assert mask[ink_density(stroke, mask.shape) > 0.5].mean() < 0.01


@pytest.mark.parametrize("colour", ["blue", "green", "black"])
def test_ink_across_tissue_is_left_out(colour: str) -> None:
    stroke = Stroke(colour, INKS[colour], 26, 2.5, [(60, 30), (300, 220), (560, 400)])
    mask = find_tissue(draw_ink(drawn(), (stroke,)), 8)
    under = ink_density(stroke, mask.shape) > 0.5
    assert mask[under].mean() < 0.05
    assert dice(mask, ellipse() & ~under) > 0.9


@pytest.mark.parametrize("colour", [(60, 150, 135), (55, 65, 165), (165, 60, 75)])
def test_a_stain_of_the_colour_of_ink_is_tissue(colour: tuple[int, int, int]) -> None:
    pixels = drawn()
    grain = np.random.default_rng(1).normal(0, 14, (HEIGHT, WIDTH, 1))
    pixels[ellipse()] = np.clip(np.array(colour) + grain, 0, 255).astype(np.uint8)[ellipse()]
    assert dice(find_tissue(pixels, 8), ellipse()) > 0.95


def test_even_colour_seen_from_near_is_tissue() -> None:
    pixels = drawn()
    pixels[180:260, 240:360] = (190, 60, 75)
    assert find_tissue(pixels, 0.5)[190:250, 250:350].all()


def test_edges_fibres_and_dust_are_left_out() -> None:
    pixels = drawn()
    pixels[:, 20:23] = (120, 120, 125)
    pixels[420:422, :] = (90, 90, 95)
    for place in ((60, 60), (380, 540), (50, 500)):
        pixels[place[0] : place[0] + 6, place[1] : place[1] + 6] = (60, 55, 60)
    mask = find_tissue(pixels, 8)
    assert not (mask & ~ellipse(0.34)).any()


def test_small_holes_belong_to_tissue_and_large_ones_do_not() -> None:
    pixels = drawn()
    pixels[150:160, 250:260] = 243
    pixels[200:250, 280:330] = 243
    mask = find_tissue(pixels, 8)
    assert mask[150:160, 250:260].all()
    assert not mask[210:240, 290:320].any()


def test_empty_glass_has_no_tissue_and_a_field_without_glass_is_all_tissue() -> None:
    glass = np.clip(np.random.default_rng(0).normal(240, 1.5, (300, 300, 1)) * np.ones(3), 0, 255).astype(np.uint8)
    assert not find_tissue(glass, 8).any()
    assert find_tissue(drawn()[180:260, 220:380].repeat(4, axis=0).repeat(4, axis=1), 1).mean() > 0.98
    assert find_tissue(np.zeros((200, 200, 3), dtype=np.uint8), 8).sum() == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2), (7, 300)])
def test_tiny_pictures(shape: tuple[int, int]) -> None:
    mask = find_tissue(np.full((*shape, 3), 128, dtype=np.uint8), 8)
    assert mask.shape == shape


@pytest.mark.parametrize(
    ("width_px", "height_px", "mpp_um", "expected_px"),
    [
        (20_000, 16_000, 0.5, 1250),
        (100_000, 80_000, 0.25, MAX_MASK_PX),
        (100_000, 80_000, None, MAX_MASK_PX),
        (4000, 3000, 0.25, 512),
        (300, 200, 0.25, 300),
    ],
)
def test_the_picture_looked_at_is_bounded(
    width_px: int, height_px: int, mpp_um: float | None, expected_px: int
) -> None:
    class Glimpse(ArrayReader):
        def thumbnail(self, max_px: int) -> Pixels:
            self.thumbnails.append(max_px)
            scale = max_px / max(width_px, height_px)
            return np.full((round(height_px * scale), round(width_px * scale), 3), 240, dtype=np.uint8)

    reader = Glimpse(np.zeros((1, 1, 3), dtype=np.uint8))
    reader.info = info_of(width_px, height_px, mpp_um=mpp_um)
    mask = detect_tissue(reader)
    assert reader.thumbnails == [expected_px]
    assert mask.downsample == pytest.approx(max(width_px, height_px) / expected_px)
    assert mask.mask.shape[1] * mask.downsample == pytest.approx(width_px, abs=mask.downsample)


def test_area_and_rule_of_a_detected_mask() -> None:
    reader = ArrayReader(np.kron(drawn(), np.ones((4, 4, 1), dtype=np.uint8)), levels=3, mpp_um=2.0)
    mask = tissue_mask(reader, "auto")
    assert mask.rule == "auto"
    assert mask.area_mm2(2.0) == pytest.approx(0.3 * (4 * WIDTH * 2e-3) * (4 * HEIGHT * 2e-3), rel=0.05)
    assert mask.area_mm2(None) is None


def test_the_hash_names_the_mask_and_its_frame() -> None:
    bits = np.array([[True, False, True]])
    base = TissueMask(bits, 10, "auto", 30, 10)
    assert len(base.sha256) == 64
    assert base.sha256 == TissueMask(bits.copy(), 10, "drawn", 30, 10).sha256
    others = [
        TissueMask(~bits, 10, "auto", 30, 10),
        TissueMask(bits.T, 10, "auto", 30, 10),
        TissueMask(bits, 11, "auto", 30, 10),
        TissueMask(bits, 10, "auto", 29, 10),
    ]
    assert len({base.sha256, *(other.sha256 for other in others)}) == 5


def test_all_of_a_slide() -> None:
    info = info_of(3000, 2000)
    mask = all_tissue(info)
    assert mask.rule == "all"
    assert mask.mask.all()
    assert mask.area_mm2(0.5) == pytest.approx(1.5 * 1.0)


def outlines(folder: Path, *polygons: list[list[list[float]]]) -> Path:
    path = folder / "umriss.geojson"
    features = [{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": each}} for each in polygons]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    return path


def box(x0: float, y0: float, x1: float, y1: float) -> list[list[float]]:
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]


def test_drawn_tissue_with_a_hole_and_a_piece_inside_it(tmp_path: Path) -> None:
    path = outlines(tmp_path, [box(100, 100, 500, 300), box(200, 150, 300, 250)], [box(240, 190, 260, 210)])
    mask = mask_from_geojson(path, info_of(1000, 500))
    assert mask.rule == "drawn"
    assert mask.downsample == 1
    assert mask.area_mm2(1.0) == pytest.approx((400 * 200 - 100 * 100 + 20 * 20) / 1e6, rel=0.01)
    assert mask.mask[200, 250]
    assert not mask.mask[160, 210]
    assert mask.mask[110, 110]
    assert not mask.mask[98, 300]


def test_drawn_tissue_on_a_large_slide(tmp_path: Path) -> None:
    path = outlines(tmp_path, [box(20_000, 10_000, 60_000, 50_000)])
    mask = tissue_mask(ArrayReader.blank(100_000, levels=1), str(path))
    assert max(mask.mask.shape) == 2048
    assert mask.area_mm2(1.0) == pytest.approx(1600, rel=0.01)


def test_a_crossed_outline_keeps_both_halves_and_what_hangs_over_is_cut(tmp_path: Path) -> None:
    bow = [[100.0, 100.0], [300.0, 300.0], [300.0, 100.0], [100.0, 300.0], [100.0, 100.0]]
    assert mask_from_geojson(outlines(tmp_path, [bow]), info_of(400, 400)).area_mm2(1.0) == pytest.approx(
        0.02, rel=0.03
    )
    over = outlines(tmp_path, [box(-500, -500, 100, 9000)])
    assert mask_from_geojson(over, info_of(400, 400)).area_mm2(1.0) == pytest.approx(0.04, rel=0.01)


@pytest.mark.parametrize(
    "document",
    ["{", {"type": "FeatureCollection", "features": []}, {"type": "Point", "coordinates": [1, 2]}],
)
def test_a_file_without_outlines(tmp_path: Path, document: Any) -> None:
    path = tmp_path / "x.geojson"
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    with pytest.raises(OutlineProblem):
        tissue_mask(ArrayReader(drawn()), str(path))


def test_outlines_beside_the_slide_are_told(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="outside of the slide") as caught:
        mask_from_geojson(outlines(tmp_path, [box(5000, 5000, 6000, 6000)]), info_of(400, 400))
    assert caught.value.remedy


def test_a_missing_file_with_outlines(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        tissue_mask(ArrayReader(drawn()), str(tmp_path / "none.geojson"))


def detected(realdata: Path, field: Field, folder: Path) -> TissueMask:
    """What detection finds on a field's slide, with the field's ink drawn over it."""
    path = realdata / field.source
    if field.ink:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        path = folder / "inked.png"
        Image.fromarray(draw_ink(pixels, field.ink)).save(path)
    with open_slide(path) as reader:
        return detect_tissue(reader)


@pytest.mark.realdata
def test_outlined_fields(realdata: Path, tmp_path: Path) -> None:
    scores = {}
    for field in all_fields():
        if field.tissue is None:
            continue
        found = detected(realdata, field, tmp_path)
        expected = truth(field, found.mask.shape, found.downsample)
        x, y, width, height = (round(number / found.downsample) for number in field.field_px)
        inside = (slice(y, y + height), slice(x, x + width))
        scores[field.name] = dice(found.mask[inside], expected[inside])
    assert len(scores) >= 14
    assert min(scores.values()) >= 0.75, scores
    assert np.mean(list(scores.values())) >= 0.90, scores


@pytest.mark.realdata
@pytest.mark.parametrize(
    "name", ["csf_real_black_and_red_ink", "csf_real_green_ink", "colon_crystal_violet_cover_slip"]
)
def test_real_ink_and_cover_slips_are_no_tissue(realdata: Path, tmp_path: Path, name: str) -> None:
    field = field_named(name)
    assert field.not_tissue is not None
    found = detected(realdata, field, tmp_path)
    for polygon in field.not_tissue:
        assert found.mask[fill([polygon], found.mask.shape, found.downsample)].mean() < 0.02


def test_an_ordinary_picture_has_tissue(tmp_path: Path) -> None:
    path = picture(tmp_path / "bild.png", width_px=300, height_px=260)
    with open_slide(path) as reader:
        mask = tissue_mask(reader, "auto")
    assert mask.mask.shape == (260, 300)
    assert mask.mask.mean() == pytest.approx(0.6, abs=0.05)
