"""Settings of extraction: recordings and releases in, a folder that training reads out."""

from __future__ import annotations

from pydantic import Field

from multimodal_search.settings.models import Folder, Place, S3Settings


class ExtractSettings(S3Settings):
    """Read nuScenes or MCAP recordings; write scenes, pictures and signals."""

    nuscenes_path: Folder | None = Field(
        None,
        description="a nuScenes root; its CAN bus needs the extra 'nuscenes'",
        json_schema_extra={"flags": ["--dataroot"]},
    )
    nuscenes_version: str | None = Field(
        None,
        description="the version folder under the root (default: the only one there, else v1.0-mini)",
        json_schema_extra={"flags": ["--version"]},
    )
    mcap: list[Place] = Field([], description="MCAP files, folders of them, or s3:// addresses")
    output_dir: Place | None = Field(
        None, description="the folder to write, or s3://bucket/prefix (extracted_data)"
    )
    num_scenes: int | None = Field(None, ge=1, description="how many scenes (default: all)")
    diverse: bool = Field(False, description="scenes spread over place, weather, time of day and manoeuvre")
    seed: int = Field(0, ge=0, description="seed of --diverse")
    cameras: list[str] = Field(
        ["CAM_FRONT"], description="nuScenes cameras, the primary first; 'all' for six"
    )
    include_timeseries: bool = Field(True, description="write the vehicle's signals, too")
    keep_all_channels: bool = Field(False, description="also channels that betray the place or the vehicle")
    describe: bool = Field(False, description="write a sentence where there is none, marked as generated")
    rate_hz: float = Field(
        10.0, gt=0, le=1000, allow_inf_nan=False, description="rate of the signals written"
    )
    list_topics: bool = Field(
        False,
        description="show topics, types, rates and counts; write nothing",
        json_schema_extra={"flags": ["--list"]},
    )
    signal_map: str | None = Field(
        None,
        description="YAML that names signals by topic and field, or a ready one: nuscenes, ros, can",
        json_schema_extra={"flags": ["--map"]},
    )
    guess: bool = Field(False, description="take signals by what topics and fields are called; says which")
    image_topics: list[str] = Field([], description="topics of pictures (default: all, the first is primary)")
    keyframe_seconds: float = Field(
        2.0, gt=0, allow_inf_nan=False, description="a picture is kept every so many seconds"
    )
    window_seconds: float = Field(20.0, gt=0, allow_inf_nan=False, description="length of a moment")
    stride_seconds: float = Field(10.0, gt=0, allow_inf_nan=False, description="from one moment to the next")
    text_topic: str | None = Field(None, description="topic whose text describes what happens")
    text_csv: Folder | None = Field(None, description="CSV of file,start_seconds,end_seconds,text")
    overwrite: bool = Field(False, description="begin again instead of going on")
