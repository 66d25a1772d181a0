"""Every setting as a typed field: flags, YAML keys, defaults and help all come from here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _folder(value: Any) -> Any:
    """``~`` is expanded here: a shell leaves it alone in ``--flag=~/x``, and in YAML nobody else does it."""
    if not isinstance(value, str | Path):
        return value
    if value == "":  # an unset variable of a job's script; Path("") would be the current folder
        raise ValueError("the path is empty")
    if isinstance(value, str) and value.startswith("s3://"):
        raise ValueError("this must be on this machine, not on s3")
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise ValueError("no such user") from error


def _place(value: Any) -> Any:
    """A folder as ``_folder`` reads it, or an ``s3://`` address as it is."""
    if isinstance(value, str) and value.startswith("s3://"):
        return value
    read = _folder(value)
    return str(read) if isinstance(read, Path) else read


Device = Literal["auto", "cpu", "cuda"]
Folder = Annotated[Path, BeforeValidator(_folder)]
Place = Annotated[str, BeforeValidator(_place)]
_FEATURES = "feature tables of 'multimodal-search embed' to read instead of encoding, one a modality"


class Settings(BaseModel):
    """A flat namespace; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)


class S3Settings(Settings):
    """How S3 is reached; what is unset follows from the environment and the AWS configuration."""

    endpoint_url: str | None = Field(None, description="S3 endpoint, for stores that are not Amazon's")
    region_name: str | None = Field(None, description="S3 region")
    timeout: float = Field(
        60.0,
        gt=0,
        le=3600,
        allow_inf_nan=False,
        description="seconds without an answer before S3 is asked again",
    )
    retry: int = Field(5, ge=0, le=100, description="how often a failed S3 request is sent again")
    proxy: bool = Field(True, description="use a proxy; --no-proxy also ignores the environment's")
    http_proxy: str | None = Field(None, description="proxy for http:// (default: the environment's)")
    https_proxy: str | None = Field(None, description="proxy for https:// (default: the environment's)")

    def s3_options(self) -> dict[str, Any]:
        """The same as ``storage.S3Options`` names it."""
        return {
            "endpoint_url": self.endpoint_url,
            "region_name": self.region_name,
            "timeout_seconds": self.timeout,
            "retries": self.retry,
            "use_proxy": self.proxy,
            "http_proxy": self.http_proxy,
            "https_proxy": self.https_proxy,
        }


class DataSettings(Settings):
    """Where items come from: exactly one source is given."""

    data_dir: str | None = Field(
        None, description="a folder, or s3://bucket/prefix, with scenes_metadata.json (format: extracted)"
    )
    nuscenes_path: str | None = Field(None, description="a nuScenes root; needs --use-devkit")
    use_devkit: bool = Field(False, description="read --nuscenes-path with the nuscenes-devkit")
    nuscenes_version: str = Field("v1.0-mini", description="the version folder under the nuScenes root")
    use_sample_data: bool = Field(False, description="make a procedural driving world and use it")
    sample_scenes: int = Field(100, ge=1, le=100_000, description="how many sample scenes to make")
    sample_seed: int = Field(0, ge=0, description="seed of the sample world")
    pairs: str | None = Field(
        None, description="image + text pairs: CSV, TSV, JSONL or Parquet; a file or s3:// object"
    )
    include_timeseries: bool = Field(False, description="use vehicle signals as a third modality")
    limit: int | None = Field(None, ge=1, description="use the first N scenes")
    granularity: Literal["keyframe", "scene"] = Field(
        "keyframe", description="nuScenes: an item a keyframe or a scene"
    )
    cameras: list[str] = Field(
        ["CAM_FRONT"],
        description="nuScenes and sample cameras to encode, the primary one first; 'all' for six",
    )
    window_seconds: float = Field(
        10.0,
        gt=0,
        allow_inf_nan=False,
        description="nuScenes: length of the signal around a keyframe, cut at its scene's ends",
    )


class EncoderSettings(Settings):
    """Frozen encoders; unset ones take the data's default (sample/... or open_clip/ViT-L-14)."""

    image_encoder: str | None = Field(None, description="family/model, for example open_clip/ViT-L-14")
    image_weights: str | None = Field(
        None, description="a published tag, a local file or folder, or 'random'"
    )
    text_encoder: str | None = Field(None, description="family/model of the text encoder")
    text_weights: str | None = Field(None, description="as --image-weights, for the text encoder")
    features: list[Place] = Field([], description=_FEATURES)
    features_dir: Folder | None = Field(
        None, description="where feature tables are kept between runs (default: the user's cache folder)"
    )
    encode_batch_size: int = Field(32, ge=1, description="inputs a forward pass of the frozen encoders")
    num_workers: int = Field(2, ge=0, description="threads that decode images")
    device: Device = Field("auto", description="where the models run")


class TrainSettings(DataSettings, EncoderSettings, S3Settings):
    """The main job: data in, a trained and measured bundle out."""

    output_dir: Place | None = Field(
        None,
        description="the bundle's folder, or s3://bucket/prefix "
        "(output; /content/output in Colab; /opt/ml/model in SageMaker)",
    )
    s3_output: str | None = Field(
        None, min_length=1, description="s3://bucket/prefix that receives a copy of the bundle, too"
    )
    epochs: int = Field(30, ge=1, description="passes over the scenes")
    batch_size: int | None = Field(
        None, ge=2, description="items a step, at most (default: every scene, two moments each, up to 4096)"
    )
    learning_rate: float = Field(1e-3, gt=0, allow_inf_nan=False, description="peak learning rate of AdamW")
    loss: Literal["infonce", "sigmoid"] = Field(
        "infonce", description="contrastive over the whole batch (CLIP), or each pair a yes or no (SigLIP)"
    )
    dim: int = Field(
        256, ge=2, description="length of the common embedding (a pre-aligned pair keeps its own)"
    )
    seed: int = Field(0, ge=0, description="seed of splits, heads and batches")
    skip_training: bool = Field(
        False,
        description="use the heads of the bundle in --output-dir, or untrained ones, and write the rest anew",
    )
    checkpoint_dir: Folder | None = Field(
        None, description="where checkpoints are kept (default: checkpoints/ in --output-dir)"
    )
    resume: bool = Field(False, description="go on from the last checkpoint")
    cloud: Literal["local", "colab", "sagemaker"] | None = Field(
        None, description="where this runs (detected if absent)"
    )
    trainer: dict[str, Any] = Field(
        default_factory=dict, description="options of Lightning's Trainer (YAML only)"
    )


class BundleSettings(S3Settings):
    """Which bundle a command reads."""

    bundle: Place = Field("output", description="what training wrote: a folder, or s3://bucket/prefix")
    device: Device = Field("auto", description="where the models run")


class EvaluateSettings(BundleSettings, DataSettings):
    """Measure a bundle: on the data it was trained with (its unseen scenes), or on other data."""

    features: list[Place] = Field([], description=_FEATURES)
    features_dir: Folder | None = Field(
        None, description="where feature tables are kept between runs (default: the user's cache folder)"
    )
    encode_batch_size: int = Field(32, ge=1, description="inputs a forward pass of the frozen encoders")
    num_workers: int = Field(2, ge=0, description="threads that decode images")
    json_output: bool = Field(False, description="print metrics.json instead of the table")


class SampleSettings(S3Settings):
    """Write the procedural driving world in one of the formats that training reads, or procedural meshes."""

    format: Literal["extracted", "nuscenes", "pairs", "mcap", "meshes"] = Field(
        "extracted", description="what to write"
    )
    encoding: Literal["json", "protobuf", "ros1", "ros2"] = Field("ros2", description="of mcap's messages")
    scenes: int = Field(100, ge=1, le=100_000, description="how many scenes, or meshes")
    out: Place = Field(description="the folder to write, or s3://bucket/prefix")
    seed: int = Field(0, ge=0, description="seed of the world")
    cameras: list[str] = Field(["CAM_FRONT"], description="cameras to draw; 'all' for the six of nuScenes")
