"""Texts to train on: whole descriptions, and short queries whose meaning is known exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from multimodal_search.sources.sample import texts, world

SINGLE = {name: values for name, values in world.ATTRIBUTES.items() if name != "road_user"}
"""Attributes of which a scene has exactly one value; of road users it has several."""
UNKNOWN = -100
_WORDINGS = range(6)  # seeds of the descriptions drawn for each scene
_QUERY_SHARE = 0.4
_JOINTS = {"en": (", ", " ", ", "), "ja": ("、", " ", "の")}


@dataclass(frozen=True, slots=True)
class Meaning:
    """What texts (or scenes) say.

    Attributes:
        codes: (n, attributes) int64, the class of each single-valued attribute, ``UNKNOWN`` where unsaid.
        users: (n, kinds) float32, 1 or 0 where a kind of road user is there or not, -1 where unsaid.
    """

    codes: Tensor
    users: Tensor

    def rows(self, index: np.ndarray) -> Meaning:
        """The meaning of some rows."""
        at = torch.from_numpy(index)
        return Meaning(self.codes[at], self.users[at])

    def fits(self, scenes: Meaning) -> Tensor:
        """(n, scenes) true where nothing that is said is wrong of the scene."""
        code = (self.codes[:, None] == scenes.codes[None]) | (self.codes[:, None] == UNKNOWN)
        user = (self.users[:, None] == scenes.users[None]) | (self.users[:, None] < 0)
        return code.all(dim=2) & user.all(dim=2)


def meaning_of(scenes: list[world.SampleScene]) -> Meaning:
    """Everything that is true of scenes."""
    codes = [[values.index(getattr(scene, name)) for name, values in SINGLE.items()] for scene in scenes]
    users = [[float(kind in scene.road_users) for kind in world.ROAD_USERS] for scene in scenes]
    return Meaning(torch.tensor(codes), torch.tensor(users))


class Captions:
    """Draws texts of scenes in one language.

    Args:
        scenes: in the order of the corpus.
        truth: their meaning.
        language: ``en`` or ``ja``.
    """

    def __init__(self, scenes: list[world.SampleScene], truth: Meaning, language: texts.Language) -> None:
        self._scenes, self._truth, self._language = scenes, truth, language
        first = 0 if language == "en" else 1
        self.primary: list[str] = []
        self.complete: list[list[str]] = []
        self.freer: list[list[str]] = []
        for scene in scenes:
            drawn = [texts.descriptions(scene, wording) for wording in _WORDINGS]
            self.primary.append(drawn[0][first])
            self.complete.append([one[first] for one in drawn])
            self.freer.append([text for one in drawn for text in one[2:] if _language(text) == language])

    def all_lines(self) -> list[str]:
        """Every description, and every short phrase many times over, for the tokenizer."""
        lines = [line for pool in (self.complete, self.freer) for one in pool for line in one]
        short = [
            phrase
            for name, values in world.ATTRIBUTES.items()
            for value in values
            for phrase in texts.phrases(name, value, self._language)
        ]
        return lines + 50 * short

    def draw(self, rows: np.ndarray, random: np.random.Generator) -> tuple[list[str], Meaning, Tensor]:
        """A text for each scene, what it says, and (n,) whether that is known in full."""
        meaning = self._truth.rows(rows)
        known = torch.ones(len(rows), dtype=torch.bool)
        lines = []
        for at, row in enumerate(rows.tolist()):
            kind = random.random()
            if kind < _QUERY_SHARE:
                lines.append(self._query(row, at, meaning, random))
            elif kind < 0.75 or not self.freer[row]:
                lines.append(_one(self.complete[row], random))
            else:
                lines.append(_one(self.freer[row], random))
                known[at] = False
        return lines, meaning, known

    def _query(self, row: int, at: int, meaning: Meaning, random: np.random.Generator) -> str:
        """Some of a scene's attributes, in few words; what is left out becomes unknown in ``meaning``."""
        scene = self._scenes[row]
        said: list[tuple[str, str]] = [(name, getattr(scene, name)) for name in SINGLE]
        said += [("road_user", user) for user in scene.road_users]
        count = min(len(said), 1 + int(random.geometric(0.5))) if random.random() < 0.7 else 1
        chosen = [said[index] for index in random.permutation(len(said))[:count]]
        names = {name for name, _ in chosen}
        for column, name in enumerate(SINGLE):
            if name not in names:
                meaning.codes[at, column] = UNKNOWN
        users = {value for name, value in chosen if name == "road_user"}
        for column, kind in enumerate(world.ROAD_USERS):
            meaning.users[at, column] = 1.0 if kind in users else -1.0
        parts = [_one(list(texts.phrases(name, value, self._language)), random) for name, value in chosen]
        return _one(list(_JOINTS[self._language]), random).join(parts)


def _language(text: str) -> str:
    return "ja" if any("\u3040" <= letter <= "\u9fff" for letter in text) else "en"


def _one(choices: list[str], random: np.random.Generator) -> str:
    return choices[int(random.integers(len(choices)))]
