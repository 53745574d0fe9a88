"""Signals to latents and back: colour, blocks, wavelets, prediction."""
