"""A table as one file for other programs: Parquet, ``.npy`` with ids, HDF5, or an array an object."""

from multimodal_search.tables.files.npy import read_ids
from multimodal_search.tables.files.write import FileKind, claim_target, write_single_file

__all__ = ["FileKind", "claim_target", "read_ids", "write_single_file"]
