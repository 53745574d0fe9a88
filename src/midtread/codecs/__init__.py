"""Whole codecs: an array in, a file out."""
