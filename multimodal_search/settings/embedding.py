"""Settings of bulk embedding."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from multimodal_search.settings.models import DataSettings, Device, Folder, Place, S3Settings


class EmbedSettings(DataSettings, S3Settings):
    """Bulk embedding: images, texts or the pictures of a source in, features out."""

    image_dir: str | None = Field(None, description="a folder of images, or s3://bucket/prefix (recursive)")
    path_file: Place | None = Field(None, description="a file, or s3:// object, with an image's path a line")
    start_line: int = Field(0, ge=0, description="first line of --path-file to take, counted from 0")
    end_line: int | None = Field(None, ge=1, description="the line after the last one to take")
    dataset: str | None = Field(
        None, description="prefix of the paths in --path-file; stored, but not in the real path"
    )
    storage: Literal["disk", "s3"] = Field("disk", description="where the paths of --path-file are")
    target_dir: Folder | None = Field(
        None, description="folder of the paths in --path-file, with --storage disk"
    )
    bucket_name: str | None = Field(None, description="bucket of the paths in --path-file, with --storage s3")
    text_file: Place | None = Field(None, description="a UTF-8 file, or s3:// object, with one text a line")
    views: bool = Field(
        False, description="--image-dir holds <id>_viewNN.png: write one (views, dim) array an id into --out"
    )

    encoder: str | None = Field(None, description="family/model, for example open_clip/ViT-L-14")
    weights: str | None = Field(None, description="a published tag, a local file or folder, or 'random'")
    pool: Literal["default", "cls", "mean", "grid"] = Field(
        "default",
        description="the model's own embedding, the class token, the mean of patches, or all patches",
    )
    grid_size: Literal[7, 14] | None = Field(
        None, description="average a patch grid to 7x7 or 14x14 (--pool grid)"
    )
    image_size: int | None = Field(
        None, ge=16, le=4096, description="input side in pixels, where not the model's own"
    )
    resize: Literal["crop", "pad", "squash"] | None = Field(
        None,
        description="how a picture gets the model's shape: cut the sides, add borders, or distort "
        "(default: as the model was trained, mostly crop)",
    )
    normalize: bool = Field(True, description="L2-normalise pooled embeddings")

    batch_size: int = Field(32, ge=1, description="inputs a batch")
    batch_per_inference: int = Field(1, ge=1, description="batches gathered for one forward pass")
    num_workers: int = Field(2, ge=0, description="threads that decode, in each process")
    num_threads: int = Field(8, ge=1, description="threads that read files or S3 objects, in each process")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="of the forward pass; auto is fp32 on a CPU, fp16 on a GPU"
    )
    compile: bool = Field(False, description="compile the model with torch.compile")
    decode: Literal["fast", "exact"] = Field(
        "fast", description="JPEGs at a reduced size where the model's input is much smaller, or as they are"
    )

    out: str = Field(description="a folder, or a name ending in .parquet, .npy or .hdf5; local or s3://")
    rows_per_part: int = Field(
        4096,
        ge=1,
        description="rows that are written, and survive, together",
        json_schema_extra={"flags": ["--inference-per-file"]},
    )
    dtype: Literal["float16", "float32"] = Field("float16", description="of the stored vectors")
    compression: Literal["none", "zstd", "gzip"] = Field(
        "none", description="of vectors in .parquet and .hdf5"
    )
    hash: Literal["none", "phash"] = Field("none", description="store a perceptual hash of each picture")
    id_pattern: str | None = Field(
        None, description="regular expression whose first group is an image's id in .hdf5 [trailing digits]"
    )

    engine: Literal["local", "processes", "ray"] = Field(
        "processes", description="in this process, in supervised processes, or on a Ray cluster"
    )
    num_processes: int | None = Field(
        None, ge=1, description="processes or Ray actors (default: one a GPU, or one)"
    )
    ray_address: str | None = Field(None, description="an existing Ray cluster (default: a local one)")
    device: Device = Field("auto", description="where the models run")
    process_index: int = Field(0, ge=0, description="number of this job in the log file's name")
    log_dir: Folder | None = Field(None, description="folder for a log file <dataset>_<index>.txt")
    overwrite: bool = Field(False, description="start again instead of going on from what is there")
    verify: int = Field(0, ge=0, description="compute N random rows again, exactly, and print the difference")
    estimate: bool = Field(False, description="time a few batches and print hours and cost; writes nothing")
    hourly_price: float = Field(0.0, ge=0, allow_inf_nan=False, description="of this machine, for --estimate")
