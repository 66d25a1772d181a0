"""Files: written whole, read from local paths and ``s3://`` alike."""

from multimodal_search.storage.addresses import S3Address, is_s3, parse_s3
from multimodal_search.storage.checksums import SUMS, FileSum, Sums, parse_sums, sum_of
from multimodal_search.storage.fetching import fetch_file, fetch_folder, local_folder
from multimodal_search.storage.local import (
    default_features_dir,
    ensure_writable_folder,
    fsync_folder,
    output_error,
    remove_leftovers,
    user_cache_dir,
    write_atomically,
    write_json,
)
from multimodal_search.storage.options import S3Options
from multimodal_search.storage.outputs import output_file, output_folder
from multimodal_search.storage.s3 import (
    S3Object,
    content_key,
    ensure_bucket,
    list_objects,
    read_bytes,
    read_object,
)
from multimodal_search.storage.s3_client import configure_s3, current_s3
from multimodal_search.storage.s3_file import open_object
from multimodal_search.storage.s3_keys import S3_THREADS, content_keys
from multimodal_search.storage.sending import ensure_writable, send_folder
from multimodal_search.storage.store import Store
from multimodal_search.storage.stores import LocalStore, S3Store, open_store

__all__ = [
    "S3_THREADS",
    "SUMS",
    "FileSum",
    "LocalStore",
    "S3Address",
    "S3Object",
    "S3Options",
    "S3Store",
    "Store",
    "Sums",
    "configure_s3",
    "content_key",
    "content_keys",
    "current_s3",
    "default_features_dir",
    "ensure_bucket",
    "ensure_writable",
    "ensure_writable_folder",
    "fetch_file",
    "fetch_folder",
    "fsync_folder",
    "is_s3",
    "list_objects",
    "local_folder",
    "open_object",
    "open_store",
    "output_error",
    "output_file",
    "output_folder",
    "parse_s3",
    "parse_sums",
    "read_bytes",
    "read_object",
    "remove_leftovers",
    "send_folder",
    "sum_of",
    "user_cache_dir",
    "write_atomically",
    "write_json",
]
