"""Codecs for fields, weights and other arrays of numbers."""
