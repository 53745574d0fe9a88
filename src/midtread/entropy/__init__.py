"""Integers <-> bytes: frequency tables, the models that choose them, and the coders (docs/formats/entropy.md)."""
