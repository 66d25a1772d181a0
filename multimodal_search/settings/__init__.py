"""The one place settings live: models (typed fields), flags (argparse), files (YAML)."""

from multimodal_search.settings.files import dump_settings, read_config
from multimodal_search.settings.flags import check, parse
from multimodal_search.settings.models import (
    DataSettings,
    EmbedSettings,
    EncoderSettings,
    EvaluateSettings,
    S3Settings,
    SampleSettings,
    SearchSettings,
    Settings,
    TrainSettings,
)

__all__ = [
    "DataSettings",
    "EmbedSettings",
    "EncoderSettings",
    "EvaluateSettings",
    "S3Settings",
    "SampleSettings",
    "SearchSettings",
    "Settings",
    "TrainSettings",
    "check",
    "dump_settings",
    "parse",
    "read_config",
]
