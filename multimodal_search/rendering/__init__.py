"""Meshes and point clouds to pictures from all sides: the same bytes on every machine."""
