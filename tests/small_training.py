"""What the tests of training and of freezing share: the smallest model, and one thread to train it on."""

import pytest
import torch

MODEL = {
    "width8": 16, "width16": 24, "blocks8": 1, "blocks16": 1, "slice_a": 8, "hyper": 8, "hyper_width": 8,
    "features": 16, "hidden": 16,
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
