"""The inputs of bulk embedding, listed without being read: folders, path files, S3, sources, texts."""

from multimodal_search.sources.inputs.base import Inputs
from multimodal_search.sources.inputs.choice import open_inputs
from multimodal_search.sources.inputs.names import View, view

__all__ = ["Inputs", "View", "open_inputs", "view"]
