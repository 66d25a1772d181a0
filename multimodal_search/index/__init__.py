"""Nearest vectors: an index chosen, built, tuned and measured; other engines behind the same questions."""
