"""Conditions on metadata: parsed from words, evaluated on columns, handed on to engines."""
