"""Networks that can be trained: PyTorch only, never needed to decode."""
