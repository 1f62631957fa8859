"""How vLLM is to load a model's weights, unless the user says."""

import glob
import os


def load_format(model):
    """Never vLLM's own choice, which takes pickles where there are no safetensors: those
    can run code when they are loaded (vllm/model_executor/model_loader/default_loader.py)."""
    if model.get("synthetic"):
        return "dummy"
    # Mistral's own files go first, as with vLLM's choice.
    folder = glob.escape(model["path"])
    return "mistral" if glob.glob(os.path.join(folder, "consolidated*.safetensors")) else "safetensors"
