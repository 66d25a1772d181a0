"""The one place settings live: models (typed fields), flags (argparse), files (YAML)."""

from multimodal_search.settings.analysis import (
    ClusterSettings,
    DuplicatesSettings,
    MapSettings,
    SweepSettings,
)
from multimodal_search.settings.embedding import EmbedSettings
from multimodal_search.settings.extraction import ExtractSettings
from multimodal_search.settings.files import dump_settings, read_config
from multimodal_search.settings.flags import check, parse
from multimodal_search.settings.models import (
    DataSettings,
    EncoderSettings,
    EvaluateSettings,
    S3Settings,
    SampleSettings,
    Settings,
    TrainSettings,
)
from multimodal_search.settings.search import (
    IndexSettings,
    ScenarioSettings,
    SearchAllSettings,
    SearchSettings,
    VectorSettings,
)
from multimodal_search.settings.serving import ServeSettings
from multimodal_search.settings.specimens import PoolSettings, RenderSettings, SpecimensSettings, ViewSettings

__all__ = [
    "ClusterSettings",
    "DataSettings",
    "DuplicatesSettings",
    "EmbedSettings",
    "EncoderSettings",
    "EvaluateSettings",
    "ExtractSettings",
    "IndexSettings",
    "MapSettings",
    "PoolSettings",
    "RenderSettings",
    "S3Settings",
    "SampleSettings",
    "ScenarioSettings",
    "SearchAllSettings",
    "SearchSettings",
    "ServeSettings",
    "Settings",
    "SpecimensSettings",
    "SweepSettings",
    "TrainSettings",
    "VectorSettings",
    "ViewSettings",
    "check",
    "dump_settings",
    "parse",
    "read_config",
]
