"""The feature table: a folder of vectors with ids, written part by part, read by memory map."""

from multimodal_search.tables.files import claim_target, read_ids, write_single_file
from multimodal_search.tables.format import PartInfo, TableInfo, part_name
from multimodal_search.tables.opening import open_table
from multimodal_search.tables.parts import PartFailure, write_planned_part
from multimodal_search.tables.planned import PlannedTable
from multimodal_search.tables.reader import FeatureTable
from multimodal_search.tables.vectors import VectorSet, open_vectors
from multimodal_search.tables.writer import TableWriter, write_table

__all__ = [
    "FeatureTable",
    "PartFailure",
    "PartInfo",
    "PlannedTable",
    "TableInfo",
    "TableWriter",
    "VectorSet",
    "claim_target",
    "open_table",
    "open_vectors",
    "part_name",
    "read_ids",
    "write_planned_part",
    "write_single_file",
    "write_table",
]
