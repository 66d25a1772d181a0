"""Reader -> decoder -> encoder -> writer: inputs become rows of a feature table, once."""
