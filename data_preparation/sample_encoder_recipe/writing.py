"""The tokenizer and the files of the sample encoders."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers


def train_tokenizer(lines: Iterable[str], vocab_size: int) -> Tokenizer:
    """Byte-level BPE over lower-cased NFKC text: any language goes in, none is unknown; id 0 is padding."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines, trainer)
    return tokenizer


def write_tower(tower: torch.nn.Module, path: Path) -> None:
    """The weights as float16, written whole."""
    state = {name: one.detach().half().contiguous() for name, one in tower.state_dict().items()}
    temporary = path.with_suffix(".writing")
    save_file(state, temporary)
    temporary.replace(path)
