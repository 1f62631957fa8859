"""Writes a model folder with the first LAYERS layers and VOCAB tokens of another:
SOURCE TARGET LAYERS VOCAB."""

import json
import re
import sys
from pathlib import Path

from safetensors.torch import load_file, save_file

source, target = Path(sys.argv[1]), Path(sys.argv[2])
layers, vocab = int(sys.argv[3]), int(sys.argv[4])
config = json.loads((source / "config.json").read_text())
config |= {"num_hidden_layers": layers, "vocab_size": vocab, "bos_token_id": 1, "eos_token_id": 2}
layer = re.compile(r"model\.layers\.(\d+)\.")
weights = {}
for name, tensor in load_file(source / "model.safetensors").items():
    number = layer.match(name)
    if number and int(number[1]) >= layers:
        continue
    # The embedding is the output layer too.
    weights[name] = tensor[:vocab].contiguous() if name == "model.embed_tokens.weight" else tensor
target.mkdir(parents=True)
(target / "config.json").write_text(json.dumps(config))
save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
