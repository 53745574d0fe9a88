"""Training learned codecs and freezing them into models that decode without PyTorch."""
