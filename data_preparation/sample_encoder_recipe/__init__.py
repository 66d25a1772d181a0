"""The parts of ``train_sample_encoders.py``."""
