from __future__ import annotations

import math
from pathlib import Path

import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from plipdesk.base.errors import UsageProblem
from plipdesk.slides.errors import MppProblem
from plipdesk.slides.mpp import settle_mpp
from plipdesk.slides.opening import open_slide
from tests.drawing import tissue_picture

PATH = Path("slide.tif")


def test_a_persons_word_comes_first() -> None:
    mpp = settle_mpp(PATH, given_um=0.3, scanner_um=(0.25, 0.5), resolution_um=(0.5, 0.5), objective_power=40.0)
    assert (mpp.mpp_um, mpp.source, mpp.notes) == (0.3, "given", ())


def test_then_what_the_scanner_measured_then_the_resolution_then_the_objective() -> None:
    everything = {"scanner_um": (0.25, 0.25), "resolution_um": (0.5, 0.5), "objective_power": 20.0}
    mpp = settle_mpp(PATH, given_um=None, **everything)
    assert (mpp.mpp_um, mpp.source) == (0.25, "measured")
    mpp = settle_mpp(PATH, given_um=None, resolution_um=(0.5, 0.5), objective_power=40.0)
    assert (mpp.mpp_um, mpp.source) == (0.5, "measured")
    mpp = settle_mpp(PATH, given_um=None, resolution_um=(352.8, 352.8), objective_power=40.0)
    assert (mpp.mpp_um, mpp.source) == (0.25, "guessed")
    assert "40× objective" in mpp.notes[0]
    mpp = settle_mpp(PATH, given_um=None)
    assert (mpp.mpp_um, mpp.source, mpp.notes) == (None, "unknown", ())


@pytest.mark.parametrize("dpi", [1, 72, 96, 100, 150, 200, 300, 350, 600, 1200])
def test_the_resolution_of_screens_and_paper_is_no_measurement(dpi: int) -> None:
    mpp = settle_mpp(PATH, given_um=None, resolution_um=(25_400 / dpi, 25_400 / dpi))
    assert (mpp.mpp_um, mpp.source) == (None, "unknown")


@pytest.mark.parametrize("mpp_um", [0.1, 0.2201, 0.25, 0.499, 1.0, 2.0, 4.0])
def test_the_resolution_of_microscopes_is_a_measurement(mpp_um: float) -> None:
    mpp = settle_mpp(PATH, given_um=None, resolution_um=(mpp_um, mpp_um))
    assert (mpp.mpp_um, mpp.source, mpp.notes) == (mpp_um, "measured", ())


def test_a_coarse_resolution_is_a_guess() -> None:
    mpp = settle_mpp(PATH, given_um=None, resolution_um=(10.0, 10.0))
    assert (mpp.mpp_um, mpp.source) == (10.0, "guessed")
    assert mpp.notes


def test_pixels_that_are_nearly_square_are_accepted_with_a_note() -> None:
    mpp = settle_mpp(PATH, given_um=None, scanner_um=(0.50, 0.52))
    assert mpp.mpp_um == pytest.approx(0.51)
    assert mpp.source == "measured"
    assert "0.5 µm wide and 0.52 µm high" in mpp.notes[0]
    assert settle_mpp(PATH, given_um=None, scanner_um=(0.2501, 0.2500)).notes == ()


def test_pixels_that_are_not_square_need_a_persons_word() -> None:
    for axes_um in [(0.5, 0.6), (0.6, 0.5), (0.25, 4.9)]:
        with pytest.raises(MppProblem, match="not square") as caught:
            settle_mpp(PATH, given_um=None, scanner_um=axes_um)
        assert caught.value.path == str(PATH)
        assert "Give the MPP" in (caught.value.remedy or "")
        assert settle_mpp(PATH, given_um=0.5, scanner_um=axes_um).mpp_um == 0.5


def test_one_axis_tells_for_both() -> None:
    mpp = settle_mpp(PATH, given_um=None, scanner_um=(0.25, None))
    assert (mpp.mpp_um, mpp.source) == (0.25, "measured")


@pytest.mark.parametrize("nonsense", [0.0, -0.5, math.nan, math.inf, 1e-9, 1e9])
def test_nonsense_is_not_believed(nonsense: float) -> None:
    assert settle_mpp(PATH, given_um=None, scanner_um=(nonsense, nonsense)).source == "unknown"
    assert settle_mpp(PATH, given_um=None, resolution_um=(nonsense, nonsense)).source == "unknown"
    assert settle_mpp(PATH, given_um=None, objective_power=nonsense).source == "unknown"
    with pytest.raises(UsageProblem):
        settle_mpp(PATH, given_um=nonsense)


@given(x_um=st.floats(0.05, 4.9), ratio=st.floats(0.9, 1.1))
def test_five_percent_is_the_border(x_um: float, ratio: float) -> None:
    y_um = x_um * ratio
    spread = abs(x_um - y_um) / ((x_um + y_um) / 2)
    if spread > 0.0501:
        with pytest.raises(MppProblem):
            settle_mpp(PATH, given_um=None, scanner_um=(x_um, y_um))
    elif spread < 0.0499:
        mpp = settle_mpp(PATH, given_um=None, scanner_um=(x_um, y_um))
        assert mpp.mpp_um == pytest.approx((x_um + y_um) / 2)
        assert bool(mpp.notes) == (spread > 0.001) or spread == pytest.approx(0.001, rel=1e-3)


# From files


@pytest.mark.parametrize(("unit", "factor"), [("INCH", 25_400), ("CENTIMETER", 10_000)])
@pytest.mark.parametrize("layout", [{"tile": (64, 64)}, {}], ids=["openslide", "tifffile"])
def test_the_resolution_of_a_tiff_is_read(tmp_path: Path, unit: str, factor: int, layout: dict[str, object]) -> None:
    path = tmp_path / "slide.tif"
    for mpp_um, source in [(0.25, "measured"), (352.78, "unknown")]:
        tifffile.imwrite(
            path,
            tissue_picture(128, 100),
            resolution=(factor / mpp_um,) * 2,
            resolutionunit=unit,
            metadata=None,
            **layout,
        )
        with open_slide(path) as reader:
            assert reader.info.mpp_source == source
            assert reader.info.mpp_um == (pytest.approx(mpp_um) if source == "measured" else None)


def test_pixels_of_a_tiff_that_are_not_square_need_a_persons_word(tmp_path: Path) -> None:
    path = tmp_path / "slide.tif"
    for layout in ({"tile": (64, 64)}, {}):
        tifffile.imwrite(
            path,
            tissue_picture(128, 100),
            resolution=(20_000, 30_000),
            resolutionunit="CENTIMETER",
            metadata=None,
            **layout,
        )
        with pytest.raises(MppProblem):
            open_slide(path)
        with open_slide(path, mpp_um=0.5) as reader:
            assert reader.info.mpp_source == "given"


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp"])
def test_the_resolution_of_a_picture_is_believed_where_it_is_a_microscopes(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"picture.{ending}"
    Image.fromarray(tissue_picture(40, 30)).save(path, dpi=(96, 96))
    with open_slide(path) as reader:
        assert (reader.info.mpp_um, reader.info.mpp_source) == (None, "unknown")
    Image.fromarray(tissue_picture(40, 30)).save(path, dpi=(25_400, 25_400))
    with open_slide(path) as reader:
        assert reader.info.mpp_um == pytest.approx(1.0, rel=1e-3)
        assert reader.info.mpp_source == "measured"


def test_imagej_says_microns_in_its_own_way(tmp_path: Path) -> None:
    path = tmp_path / "imagej.tif"
    tifffile.imwrite(
        path, tissue_picture(64, 64)[..., 0], imagej=True, resolution=(4.0, 4.0), metadata={"unit": "micron"}
    )
    with open_slide(path) as reader:
        assert (reader.info.mpp_um, reader.info.mpp_source) == (0.25, "measured")


def test_an_ome_objective_is_a_guess(tmp_path: Path) -> None:
    path = tmp_path / "slide.ome.tif"
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        '<Instrument ID="Instrument:0"><Objective ID="Objective:0" NominalMagnification="20"/></Instrument>'
        '<Image ID="Image:0"><ObjectiveSettings ID="Objective:0"/><Pixels ID="Pixels:0" DimensionOrder="XYCZT" '
        'Type="uint8" SizeX="64" SizeY="48" SizeC="3" SizeZ="1" SizeT="1"><Channel ID="C:0" SamplesPerPixel="3"/>'
        "<TiffData/></Pixels></Image></OME>"
    )
    tifffile.imwrite(path, tissue_picture(64, 48), photometric="rgb", description=xml, metadata=None)
    with open_slide(path) as reader:
        assert (reader.info.mpp_um, reader.info.mpp_source) == (0.5, "guessed")
        assert reader.info.objective_power == 20
