"""Recordings and releases -> scenes, pictures and signals in a folder that training reads."""
