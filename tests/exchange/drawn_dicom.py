"""A small DICOM slide, drawn: one level, uncompressed tiles, with a patient who must not be told of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from tests.drawing import tissue_picture

WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
PATIENT = "Nobody^Special"
CONTAINER = "H 1234"
TILE_PX = 128


def item(**values: object) -> Dataset:
    found = Dataset()
    for keyword, value in values.items():
        setattr(found, keyword, value)
    return found


def dicom_slide(path: Path, *, width_px: int = 640, height_px: int = 512, mpp_um: float = 0.5, seed: int = 0) -> Path:
    """Write it; sides are multiples of 128."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = WHOLE_SLIDE
    meta.MediaStorageSOPInstanceUID = "2.25.1001"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    slide = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    pixels = tissue_picture(width_px, height_px, seed=seed)
    tiles = pixels.reshape(height_px // TILE_PX, TILE_PX, width_px // TILE_PX, TILE_PX, 3).swapaxes(1, 2)
    tiles = tiles.reshape(-1, TILE_PX, TILE_PX, 3)
    values: dict[str, object] = {
        "SOPClassUID": WHOLE_SLIDE, "SOPInstanceUID": "2.25.1001", "StudyInstanceUID": "2.25.1", "Modality": "SM",
        "SeriesInstanceUID": "2.25.2", "FrameOfReferenceUID": "2.25.3", "SpecificCharacterSet": "ISO_IR 192",
        "PatientName": PATIENT, "PatientID": "4711", "PatientBirthDate": "19500101", "PatientSex": "O",
        "StudyDate": "20200101", "StudyTime": "120000", "StudyID": "s", "AccessionNumber": "A99",
        "ReferringPhysicianName": "Doctor", "SeriesNumber": 1, "InstanceNumber": 1, "Manufacturer": "drawn",
        "ManufacturerModelName": "drawn", "DeviceSerialNumber": "1", "SoftwareVersions": "1",
        "ImageType": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], "ContentDate": "20200101", "ContentTime": "120000",
        "AcquisitionDateTime": "20200101120000", "VolumetricProperties": "VOLUME", "ImagedVolumeDepth": 0.004,
        "ImagedVolumeWidth": width_px * mpp_um / 1000, "ImagedVolumeHeight": height_px * mpp_um / 1000,
        "SpecimenLabelInImage": "NO", "FocusMethod": "AUTO", "ExtendedDepthOfField": "NO", "PositionReferenceIndicator":
        "SLIDE_CORNER", "BurnedInAnnotation": "NO", "LossyImageCompression": "00", "NumberOfOpticalPaths": 1,
        "TotalPixelMatrixFocalPlanes": 1, "DimensionOrganizationType": "TILED_FULL", "Rows": TILE_PX,
        "Columns": TILE_PX, "NumberOfFrames": len(tiles), "TotalPixelMatrixColumns": width_px,
        "TotalPixelMatrixRows": height_px, "SamplesPerPixel": 3, "PhotometricInterpretation": "RGB",
        "PlanarConfiguration": 0, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0,
        "ImageOrientationSlide": [0.0, -1.0, 0.0, -1.0, 0.0, 0.0], "ContainerIdentifier": CONTAINER,
        "IssuerOfTheContainerIdentifierSequence": Sequence([]), "AcquisitionContextSequence": Sequence([]),
    }  # fmt: skip
    for keyword, value in values.items():
        setattr(slide, keyword, value)
    slide.ContainerTypeCodeSequence = [item(CodeValue="433466003", CodingSchemeDesignator="SCT", CodeMeaning="Slide")]
    slide.SpecimenDescriptionSequence = [
        item(
            SpecimenIdentifier=CONTAINER, SpecimenUID="2.25.5", IssuerOfTheSpecimenIdentifierSequence=Sequence([]),
            SpecimenPreparationSequence=Sequence([]), SpecimenDetailedDescription="of Nobody Special",
        )
    ]  # fmt: skip
    slide.TotalPixelMatrixOriginSequence = [
        item(XOffsetInSlideCoordinateSystem=20.0, YOffsetInSlideCoordinateSystem=40.0)
    ]
    slide.OpticalPathSequence = [
        item(
            OpticalPathIdentifier="1",
            IlluminationTypeCodeSequence=[
                item(CodeValue="111744", CodingSchemeDesignator="DCM", CodeMeaning="Brightfield illumination")
            ],
        )
    ]
    spacing = mpp_um / 1000
    slide.SharedFunctionalGroupsSequence = [
        item(
            PixelMeasuresSequence=[item(PixelSpacing=[spacing, spacing], SliceThickness=0.004)],
            OpticalPathIdentificationSequence=[item(OpticalPathIdentifier="1")],
            WholeSlideMicroscopyImageFrameTypeSequence=[item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])],
        )
    ]
    slide.PixelData = np.ascontiguousarray(tiles).tobytes()
    slide.save_as(path, enforce_file_format=True)
    return path
