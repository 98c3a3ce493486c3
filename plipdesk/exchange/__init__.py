"""GeoJSON, HDF5, DICOM and CSV, in and out."""
