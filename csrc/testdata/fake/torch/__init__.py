"""A stand-in for torch: the fake vllm needs only its version."""

__version__ = "0.0-fake"
