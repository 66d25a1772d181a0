"""The inputs of bulk embedding, listed without being read: folders, path files, S3, sources, texts."""

from multimodal_search.sources.inputs.base import Inputs

__all__ = ["Inputs"]
