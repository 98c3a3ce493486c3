"""Vectors on disk, HNSW and exact scan."""
