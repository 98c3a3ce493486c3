"""Results for slides that came as DICOM: Segmentation, Parametric Map, Microscopy Bulk Simple Annotations.

Written through highdicom after PS3.3 A.51, A.75 and A.87. They point to the slide by its UIDs. What names a patient or
a specimen is left empty unless it is asked for.
"""

from __future__ import annotations

import hashlib
import uuid
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import plipdesk
from plipdesk.base.errors import Bug
from plipdesk.base.files import atomic_write
from plipdesk.exchange.errors import ExchangeProblem
from plipdesk.exchange.notice import NOTICE

if TYPE_CHECKING:
    from pydicom import Dataset

Rgb = tuple[int, int, int]

MAKER = "plipdesk"
SCHEME = "99PLIPDESK"
_NAMESPACE = uuid.UUID("a5f7f3f0-8f2b-5b0e-8b49-6a0c9d5d2f11")
_WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
_HIDDEN = "REMOVED"
_EMPTIED = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientComments", "OtherPatientIDs",
    "AccessionNumber", "StudyID", "ReferringPhysicianName", "StudyDescription", "InstitutionName",
)  # fmt: skip
_TILE_PX = 512
_MOST_TEXT = 64


@dataclass(frozen=True, eq=False)
class SourceSlide:
    """The largest level of a DICOM slide, without its pixels."""

    dataset: Dataset
    width_px: int
    height_px: int

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """Distance between rows, and between columns."""
        measures = self.dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        down, across = (float(part) for part in measures.PixelSpacing)
        return down, across


@dataclass(frozen=True)
class Segment:
    """A class on a map: its number there, name and colour."""

    number: int
    name: str
    colour: Rgb


def source_slide(files: Sequence[Path], *, with_patient: bool = False) -> SourceSlide:
    """The largest level among the files of a series; what names a patient is emptied unless ``with_patient``.

    Raises:
        ExchangeProblem: none of them is a whole-slide picture that can be pointed to.
    """
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    best: SourceSlide | None = None
    with _quiet():
        for path in files:
            try:
                dataset = dcmread(path, stop_before_pixels=True)
                kind = [str(part) for part in dataset.get("ImageType", ())]
                if dataset.SOPClassUID != _WHOLE_SLIDE or not {"LABEL", "OVERVIEW"}.isdisjoint(kind):
                    continue
                found = SourceSlide(dataset, int(dataset.TotalPixelMatrixColumns), int(dataset.TotalPixelMatrixRows))
                found.spacing_mm  # noqa: B018  a slide without spacing cannot be pointed to
            except (OSError, InvalidDicomError, AttributeError, IndexError, TypeError, ValueError):
                continue
            if best is None or found.width_px > best.width_px:
                best = found
        if best is None:
            raise ExchangeProblem(
                "There is no DICOM whole-slide picture that results could point to.",
                path=files[0] if files else None,
                remedy="Export as GeoJSON, or relink the slide to its DICOM files.",
            )
        _complete(best.dataset)
        if not with_patient:
            _hide_patient(best.dataset)
    return best


def _complete(dataset: Dataset) -> None:
    """Fill in what highdicom needs and some writers leave out."""
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"):
        if keyword not in dataset:
            setattr(dataset, keyword, "")
    for keyword in ("StudyDate", "StudyTime", "ReferringPhysicianName"):
        if keyword not in dataset:
            setattr(dataset, keyword, "")
    if "ImageOrientationSlide" not in dataset:
        dataset.ImageOrientationSlide = [0.0, -1.0, 0.0, -1.0, 0.0, 0.0]
    if not dataset.get("TotalPixelMatrixOriginSequence"):
        from pydicom import Dataset

        origin = Dataset()
        origin.XOffsetInSlideCoordinateSystem = origin.YOffsetInSlideCoordinateSystem = 0.0
        dataset.TotalPixelMatrixOriginSequence = [origin]
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    if not measures.get("SliceThickness"):
        measures.SliceThickness = 0.004


def _hide_patient(dataset: Dataset) -> None:
    for keyword in _EMPTIED:
        if keyword in dataset:
            setattr(dataset, keyword, "")
    if "ContainerIdentifier" in dataset:
        dataset.ContainerIdentifier = _HIDDEN
    for specimen in dataset.get("SpecimenDescriptionSequence", ()):
        for keyword in list(specimen.dir()):
            if keyword not in ("SpecimenUID", "SpecimenPreparationSequence"):
                delattr(specimen, keyword)
        specimen.SpecimenIdentifier = _HIDDEN
        specimen.IssuerOfTheSpecimenIdentifierSequence = []
        specimen.SpecimenPreparationSequence = []


@contextmanager
def _quiet() -> Iterator[None]:
    """Slides of others break rules of DICOM in ways that do not matter here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def write_segmentation(
    path: Path, source: SourceSlide, labels: NDArray[np.integer], segments: Sequence[Segment], *, pixel0_px: float
) -> None:
    """Write a label map (h, w) as a binary Segmentation; numbers that are no segment's are left out.

    A pixel of the map is ``pixel0_px`` level-0 pixels wide; the map begins at the slide's top left corner.

    Raises:
        ExchangeProblem: there is nothing on the map, or highdicom refuses the slide.
        EnvironmentProblem: the place cannot be written to.
    """
    present = [one for one in segments if (labels == one.number).any()]
    if not present:
        raise ExchangeProblem("There is nothing on this map.", path=path, remedy="Label the slide with other classes.")
    numbers = np.zeros(labels.shape, dtype=np.uint8 if len(present) < 256 else np.uint16)
    for place, one in enumerate(present, start=1):
        numbers[labels == one.number] = place

    def make(**common: Any) -> Any:
        import highdicom as hd
        from pydicom.sr.codedict import codes

        descriptions = [
            hd.seg.SegmentDescription(
                segment_number=place,
                segment_label=one.name[:_MOST_TEXT],
                segmented_property_category=codes.SCT.Tissue,
                segmented_property_type=_concept(one.name),
                algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
                algorithm_identification=_algorithm(),
                display_color=hd.color.CIELabColor.from_rgb(*one.colour),
            )
            for place, one in enumerate(present, start=1)
        ]
        return hd.seg.Segmentation(
            pixel_array=numbers[None], segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=descriptions, content_label="LABELS", **common,
        )  # fmt: skip

    _write(path, source, make, numbers.tobytes(), labels.shape, pixel0_px)


def write_parametric_map(
    path: Path,
    source: SourceSlide,
    planes: NDArray[np.float32],
    names: Sequence[str],
    *,
    pixel0_px: float,
    quantity: str,
) -> None:
    """Write heat maps (c, h, w), one channel for each of ``names``, as a Parametric Map; what is not a number is 0.

    Raises:
        ExchangeProblem: highdicom refuses the slide.
        EnvironmentProblem: the place cannot be written to.
    """
    values = np.nan_to_num(planes, nan=0.0).astype(np.float32)
    low, high = float(min(values.min(initial=0.0), 0.0)), float(max(values.max(initial=0.0), 1.0))

    def make(**common: Any) -> Any:
        import highdicom as hd
        from pydicom.sr.codedict import codes

        mappings = [
            [
                hd.pm.RealWorldValueMapping(
                    lut_label=f"CLASS{number}"[:16],
                    lut_explanation=f"{quantity}: {name}"[:_MOST_TEXT],
                    unit=codes.UCUM.NoUnits,
                    value_range=(low, high),
                    slope=1.0,
                    intercept=0.0,
                    quantity_definition=_concept(name),
                )
            ]
            for number, name in enumerate(names, start=1)
        ]
        return hd.pm.ParametricMap(
            pixel_array=np.moveaxis(values, 0, -1)[None],
            contains_recognizable_visual_features=False,
            real_world_value_mappings=mappings,
            window_center=(low + high) / 2,
            window_width=high - low,
            content_label="HEATMAP",
            **common,
        )

    shape = (planes.shape[1], planes.shape[2])
    _write(path, source, make, values.tobytes(), shape, pixel0_px)


def write_bulk_annotations(
    path: Path,
    source: SourceSlide,
    x0_px: NDArray[np.integer],
    y0_px: NDArray[np.integer],
    size0_px: float,
    labels: NDArray[np.integer],
    scores: NDArray[np.floating],
    segments: Sequence[Segment],
) -> None:
    """Write patches as rectangles, a group for each class, each with its score.

    Raises:
        ExchangeProblem: no patch has any of these classes, or highdicom refuses the slide.
        EnvironmentProblem: the place cannot be written to.
    """
    present = [one for one in segments if (labels == one.number).any()]
    if not present:
        raise ExchangeProblem("No patch has a class.", path=path, remedy="Label the slide with other classes.")
    seed = b"".join(np.ascontiguousarray(part).tobytes() for part in (x0_px, y0_px, labels, scores))

    def groups() -> list[Any]:
        import highdicom as hd
        from pydicom.sr.codedict import codes

        found = []
        for place, one in enumerate(present, start=1):
            own = np.flatnonzero(labels == one.number)
            left, top = x0_px[own].astype(np.float64), y0_px[own].astype(np.float64)
            right, bottom = left + size0_px, top + size0_px
            corners = np.stack([left, top, right, top, right, bottom, left, bottom], axis=1).reshape(-1, 4, 2)
            found.append(
                hd.ann.AnnotationGroup(
                    number=place,
                    uid=_uid(seed, f"group {one.name}"),
                    label=one.name[:_MOST_TEXT],
                    annotated_property_category=codes.SCT.Tissue,
                    annotated_property_type=_concept(one.name),
                    algorithm_type=hd.ann.AnnotationGroupGenerationTypeValues.AUTOMATIC,
                    algorithm_identification=_algorithm(),
                    graphic_type=hd.ann.GraphicTypeValues.RECTANGLE,
                    graphic_data=list(corners.astype(np.float32)),
                    measurements=[
                        hd.ann.Measurements(
                            name=_concept("Score"), values=scores[own].astype(np.float32), unit=codes.UCUM.NoUnits
                        )
                    ],
                    description=NOTICE,
                    display_color=hd.color.CIELabColor.from_rgb(*one.colour),
                )
            )
        return found

    with _in_words(path):
        import highdicom as hd

        made = hd.ann.MicroscopyBulkSimpleAnnotations(
            source_images=[source.dataset],
            annotation_coordinate_type=hd.ann.AnnotationCoordinateTypeValues.SCOORD,
            annotation_groups=groups(),
            content_label="LABELS",
            **_identity(source, seed, "annotations"),
        )
    _save(path, made)


def _write(
    path: Path, source: SourceSlide, make: Any, content: bytes, shape: tuple[int, ...], pixel0_px: float
) -> None:
    """Place a map on the slide and write it."""
    with _in_words(path):
        import highdicom as hd

        down_mm, across_mm = source.spacing_mm
        measures = source.dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        rows = np.array([float(part) for part in source.dataset.ImageOrientationSlide])
        origin = source.dataset.TotalPixelMatrixOriginSequence[0]
        x_mm, y_mm = float(origin.XOffsetInSlideCoordinateSystem), float(origin.YOffsetInSlideCoordinateSystem)
        # The middle of the map's first pixel lies further in than that of the slide's.
        further = (pixel0_px - 1) / 2
        corner = np.array([x_mm, y_mm, 0.0]) + rows[:3] * across_mm * further + rows[3:] * down_mm * further
        common = {
            "source_images": [source.dataset],
            "pixel_measures": hd.PixelMeasuresSequence(
                pixel_spacing=(down_mm * pixel0_px, across_mm * pixel0_px),
                slice_thickness=float(measures.SliceThickness),
            ),
            "plane_orientation": hd.PlaneOrientationSequence(
                coordinate_system=hd.CoordinateSystemNames.SLIDE, image_orientation=rows.tolist()
            ),
            "plane_positions": [
                hd.PlanePositionSequence(
                    coordinate_system=hd.CoordinateSystemNames.SLIDE, image_position=corner.tolist(),
                    pixel_matrix_position=(1, 1),
                )
            ],
            "tile_pixel_array": True,
            "tile_size": tuple(min(_TILE_PX, -(-side // 8) * 8) for side in shape),
        }  # fmt: skip
        made = make(**common, **_identity(source, content, path.stem.rpartition("_")[2]))
    _save(path, made)


def _identity(source: SourceSlide, content: bytes, kind: str) -> dict[str, Any]:
    """UIDs that follow from the content, so that the same result has the same ones."""
    seed = content + str(source.dataset.SOPInstanceUID).encode()
    return {
        "series_instance_uid": _uid(seed, f"series {kind}"),
        "series_number": 1000 + len(kind),
        "sop_instance_uid": _uid(seed, f"instance {kind}"),
        "instance_number": 1,
        "manufacturer": MAKER,
        "manufacturer_model_name": MAKER,
        "software_versions": plipdesk.__version__,
        "device_serial_number": "1",
        "content_description": NOTICE,
    }


def _uid(seed: bytes, what: str) -> str:
    return f"2.25.{uuid.uuid5(_NAMESPACE, hashlib.sha256(seed).hexdigest() + what).int}"


def _concept(name: str) -> Any:
    """A class as a coded concept of our own scheme; its code follows from its name."""
    from highdicom.sr import CodedConcept

    code = hashlib.sha256(name.casefold().encode()).hexdigest()[:12].upper()
    return CodedConcept(value=code, scheme_designator=SCHEME, meaning=name[:_MOST_TEXT])


def _algorithm() -> Any:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    return hd.AlgorithmIdentificationSequence(
        name="plipdesk zero-shot labelling", family=codes.DCM.ArtificialIntelligence, version=plipdesk.__version__
    )


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """highdicom's refusals as something a person can act on."""
    try:
        with _quiet():
            yield
    except (AttributeError, ValueError, TypeError, KeyError, IndexError) as error:
        raise ExchangeProblem(
            f"This DICOM slide lacks what results need to point to it ({error}).",
            path=path,
            remedy="Export as GeoJSON or TIFF instead.",
        ) from error


def _save(path: Path, made: Any) -> None:
    if made is None:
        raise Bug("Nothing was made.", path=path)
    with atomic_write(path) as stream, _quiet():
        made.save_as(stream, enforce_file_format=True)
