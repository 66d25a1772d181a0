"""The one place settings live: models (fields), flags (argparse), files (YAML)."""
