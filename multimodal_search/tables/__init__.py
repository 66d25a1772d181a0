"""The feature table: a folder of vectors with ids, written part by part, read by memory map."""

from multimodal_search.tables.format import PartInfo, TableInfo, part_name
from multimodal_search.tables.reader import FeatureTable, open_table
from multimodal_search.tables.writer import TableWriter, write_table

__all__ = [
    "FeatureTable",
    "PartInfo",
    "TableInfo",
    "TableWriter",
    "open_table",
    "part_name",
    "write_table",
]
