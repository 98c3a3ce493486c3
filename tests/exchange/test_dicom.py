"""DICOM results, read back with highdicom and pydicom: what is where, and who is not named."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest

from plipdesk.exchange.dicom import (
    Segment,
    SourceSlide,
    source_slide,
    write_bulk_annotations,
    write_parametric_map,
    write_segmentation,
)
from plipdesk.exchange.errors import ExchangeProblem
from plipdesk.exchange.notice import NOTICE
from tests.exchange.drawn_dicom import CONTAINER, PATIENT, dicom_slide

SEGMENTS = (
    Segment(0, "adipose tissue", (0, 114, 178)),
    Segment(1, "größe", (230, 159, 0)),
    Segment(7, "never", (1, 1, 1)),
)
STEP_PX = 64.0


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dicom_slide(tmp_path_factory.mktemp("dicom") / "slide.dcm")


@pytest.fixture(scope="module")
def source(slide: Path) -> SourceSlide:
    return source_slide([slide])


def test_the_largest_level_is_found_without_who_it_is_of(slide: Path, source: SourceSlide, tmp_path: Path) -> None:
    small = dicom_slide(tmp_path / "small.dcm", width_px=256, height_px=256)
    found = source_slide([small, slide, tmp_path / "none"])
    assert (found.width_px, found.height_px, found.spacing_mm) == (640, 512, (0.0005, 0.0005))
    assert str(source.dataset.PatientName) == ""
    assert str(source_slide([slide], with_patient=True).dataset.PatientName) == PATIENT
    (tmp_path / "no.dcm").write_bytes(b"no DICOM")
    with pytest.raises(ExchangeProblem):
        source_slide([tmp_path / "no.dcm"])
    with pytest.raises(ExchangeProblem):
        source_slide([])


def test_a_segmentation_comes_back_in_its_place(slide: Path, source: SourceSlide, tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(-1, 2, (8, 10))
    path = tmp_path / "one_seg.dcm"
    write_segmentation(path, source, labels, SEGMENTS, pixel0_px=STEP_PX)
    found = hd.seg.segread(path)
    assert found.number_of_segments == 2
    assert [found.get_segment_description(number).segment_label for number in (1, 2)] == ["adipose tissue", "größe"]
    matrix = found.get_total_pixel_matrix(combine_segments=True)
    np.testing.assert_array_equal(matrix, labels + 1)
    assert found.ContentDescription == NOTICE
    reference = found.ReferencedSeriesSequence[0]
    assert reference.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == "2.25.1001"
    # The map's corner is the slide's corner: its first pixel's middle lies half of 63 pixels further in both axes.
    origin = found.TotalPixelMatrixOriginSequence[0]
    further_mm = 63 / 2 * 0.0005
    assert float(origin.YOffsetInSlideCoordinateSystem) == pytest.approx(40.0 - further_mm, abs=1e-4)
    assert float(origin.XOffsetInSlideCoordinateSystem) == pytest.approx(20.0 - further_mm, abs=1e-4)
    measures = found.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert [float(part) for part in measures.PixelSpacing] == pytest.approx([0.032, 0.032])


def test_a_large_map_is_tiled_and_comes_back_whole(source: SourceSlide, tmp_path: Path) -> None:
    labels = np.random.default_rng(1).integers(0, 2, (700, 530))
    write_segmentation(tmp_path / "large_seg.dcm", source, labels, SEGMENTS, pixel0_px=1.5)
    matrix = hd.seg.segread(tmp_path / "large_seg.dcm").get_total_pixel_matrix(combine_segments=True)
    np.testing.assert_array_equal(matrix, labels + 1)


def test_heat_maps_come_back_as_numbers(source: SourceSlide, tmp_path: Path) -> None:
    planes = np.random.default_rng(2).random((3, 8, 16)).astype(np.float32)
    planes[0, 0, 0] = np.nan
    path = tmp_path / "one_pm.dcm"
    write_parametric_map(path, source, planes, ["a", "b", "größe"], pixel0_px=STEP_PX, quantity="probability")
    found = pydicom.dcmread(path)
    assert found.SOPClassUID.name == "Parametric Map Storage"
    assert (found.NumberOfFrames, found.pixel_array.dtype) == (3, np.float32)
    shown = []
    for frame, groups in zip(found.pixel_array, found.PerFrameFunctionalGroupsSequence, strict=True):
        mapping = groups.RealWorldValueMappingSequence[0]
        shown.append(mapping.LUTExplanation)
        np.testing.assert_allclose(frame[:8, :16], np.nan_to_num(planes[["a", "b", "größe"].index(shown[-1][13:])]))
    assert sorted(shown) == ["probability: a", "probability: b", "probability: größe"]
    assert found.ContentDescription == NOTICE


def test_patches_come_back_as_rectangles_with_scores(source: SourceSlide, tmp_path: Path) -> None:
    x, y = np.arange(6, dtype=np.int32) * 64, np.full(6, 128, dtype=np.int32)
    labels, scores = np.array([0, 1, 1, 3, 0, 1]), np.linspace(0, 1, 6).astype(np.float32)
    path = tmp_path / "one_ann.dcm"
    write_bulk_annotations(path, source, x, y, 64.0, labels, scores, SEGMENTS)
    groups = hd.ann.annread(path).get_annotation_groups()
    assert [(group.label, group.number_of_annotations) for group in groups] == [("adipose tissue", 2), ("größe", 3)]
    corners = groups[1].get_graphic_data(coordinate_type="2D")
    np.testing.assert_allclose(corners[0], [[64, 128], [128, 128], [128, 192], [64, 192]])
    _, values, _ = groups[1].get_measurements()
    np.testing.assert_allclose(values[:, 0], scores[labels == 1], rtol=1e-6)


def test_nobody_is_named_unless_it_is_asked_for(slide: Path, tmp_path: Path) -> None:
    labels = np.zeros((8, 10), dtype=int)
    for with_patient in (False, True):
        path = tmp_path / f"{with_patient}_seg.dcm"
        own = source_slide([slide], with_patient=with_patient)
        write_segmentation(path, own, labels, SEGMENTS, pixel0_px=STEP_PX)
        content = path.read_bytes()
        for secret in (PATIENT.encode(), b"4711", b"A99", CONTAINER.encode(), b"19500101"):
            assert (secret in content) is with_patient, secret
        assert b"Nobody Special" not in content or with_patient


def test_the_same_result_has_the_same_uids(source: SourceSlide, tmp_path: Path) -> None:
    uids = []
    for name in ("a_seg.dcm", "b_seg.dcm"):
        write_segmentation(tmp_path / name, source, np.zeros((4, 4), int), SEGMENTS, pixel0_px=STEP_PX)
        uids.append(pydicom.dcmread(tmp_path / name).SOPInstanceUID)
    assert uids[0] == uids[1]


def test_empty_maps_and_slides_that_lack_something_are_refused_in_words(source: SourceSlide, tmp_path: Path) -> None:
    with pytest.raises(ExchangeProblem, match="nothing"):
        write_segmentation(tmp_path / "x_seg.dcm", source, np.full((4, 4), -1), SEGMENTS, pixel0_px=STEP_PX)
    none = np.zeros(0, dtype=np.int32)
    with pytest.raises(ExchangeProblem):
        write_bulk_annotations(tmp_path / "x_ann.dcm", source, none, none, 64.0, none, none.astype(float), SEGMENTS)
    bare = SourceSlide(pydicom.Dataset(), 10, 10)
    bare.dataset.SOPInstanceUID = "2.25.9"
    with pytest.raises(ExchangeProblem, match="lacks"):
        write_segmentation(tmp_path / "x_seg.dcm", bare, np.zeros((4, 4), int), SEGMENTS, pixel0_px=STEP_PX)
    assert list(tmp_path.iterdir()) == []


# One of these slides has a UID that is longer than DICOM allows; what points to it repeats it.
@pytest.mark.filterwarnings("ignore:The value length:UserWarning")
@pytest.mark.realdata
@pytest.mark.parametrize("name", ["highdicom_sm_image.dcm", "ezwsi_multiframe_camelyon_challenge_image.dcm"])
def test_results_for_real_slides_come_back(realdata: Path, tmp_path: Path, name: str) -> None:
    own = source_slide([realdata / "formats" / name])
    labels = np.arange(20).reshape(4, 5) % 2
    write_segmentation(tmp_path / "r_seg.dcm", own, labels, SEGMENTS, pixel0_px=10.0)
    matrix = hd.seg.segread(tmp_path / "r_seg.dcm").get_total_pixel_matrix(combine_segments=True)
    np.testing.assert_array_equal(matrix, labels + 1)
