"""Classifiers on stored vectors, calibration."""
