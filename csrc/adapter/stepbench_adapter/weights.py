"""How vLLM is to load a model's weights, unless the user says."""

import os
from fnmatch import filter as matching


def load_format(model):
    """Never vLLM's own choice, which takes pickles where there are no safetensors: those
    can run code when they are loaded (vllm/model_executor/model_loader/default_loader.py)."""
    if model.get("synthetic"):
        return "dummy"
    # Mistral's own files go first, as with vLLM's choice.
    names = os.listdir(model["path"]) if os.path.isdir(model["path"]) else []
    return "mistral" if matching(names, "consolidated*.safetensors") else "safetensors"
