"""Files: written whole, read from local paths and ``s3://`` alike."""

from multimodal_search.storage.local import (
    default_features_dir,
    ensure_writable_folder,
    fsync_folder,
    output_error,
    remove_leftovers,
    write_atomically,
    write_json,
)
from multimodal_search.storage.s3 import (
    S3Address,
    content_key,
    ensure_bucket,
    is_s3,
    parse_s3,
    read_bytes,
    upload_folder,
)

__all__ = [
    "S3Address",
    "content_key",
    "default_features_dir",
    "ensure_bucket",
    "ensure_writable_folder",
    "fsync_folder",
    "is_s3",
    "output_error",
    "parse_s3",
    "read_bytes",
    "remove_leftovers",
    "upload_folder",
    "write_atomically",
    "write_json",
]
