"""Vectors to codebook indices and back."""
