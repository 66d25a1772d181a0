"""Weather and time of day from what people wrote and from the clock."""

from __future__ import annotations

import re

# The word that is kept -> how people say it, in the languages that this project serves.
_WEATHER = {
    "after rain": r"after (the )?rain|rain (has )?stopped|雨上がり|雨あがり",
    "rain": r"\brain(y|ing|s)?\b|drizzl\w*|downpour|雨",
    "snow": r"\bsnow\w*|雪",
    "fog": r"\bfog\w*|\bmist\w*|霧",
    "wet": r"\bwet\b|濡れた",
    "sunny": r"\bsun(ny|shine)?\b|(?<!快)晴",
    "clear": r"\bclear (weather|sky|day|night|evening|morning)\b|快晴",
    "cloudy": r"\bcloud\w*|overcast|曇",
    "windy": r"\bwind(y)?\b|強風",
}
_NIGHT = re.compile(r"\bnight(time)?\b|夜", re.IGNORECASE)
_PATTERNS = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _WEATHER.items()}
_HOURS = ((5, "night"), (11, "morning"), (14, "noon"), (17, "afternoon"), (19, "evening"), (25, "night"))


def weather_words(text: str) -> list[str]:
    """Weather that a text names; ``rain`` is not said to fall where it says ``after rain``."""
    found = []
    for name, pattern in _PATTERNS.items():
        if pattern.search(text):
            found.append(name)
            text = pattern.sub(" ", text)
    return found


def daytime(text: str, local_hour: int | None) -> str | None:
    """``night``, ``morning``, ``noon``, ``afternoon`` or ``evening``; words before the clock.

    Args:
        text: the description.
        local_hour: 0 to 23; None where the zone is not known.
    """
    if _NIGHT.search(text):
        return "night"
    if local_hour is None:
        return None
    return next(name for before, name in _HOURS if local_hour < before)
