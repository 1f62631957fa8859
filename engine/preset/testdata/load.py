"""Loads each model folder given as an argument as transformers and vLLM do.

Texts come as a JSON list on standard input. Prints one JSON object a folder:
ids and round trip of each text by both loaders, the rendered chat, special ids,
and the parameter count of the model that transformers would build. Uses no
network.
"""

import json
import os
import sys

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", VLLM_LOGGING_LEVEL="ERROR")

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from vllm.tokenizers import get_tokenizer

TEXTS = json.load(sys.stdin)
CHAT = [{"role": "user", "content": "Say yes."}]


def describe(folder):
    with torch.device("meta"):  # counts parameters without allocating them
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    out = {"parameters": model.num_parameters(), "loaders": []}
    for name, load in (("transformers", AutoTokenizer.from_pretrained), ("vLLM", get_tokenizer)):
        tok = load(folder)
        ids = [tok.encode(text) for text in TEXTS]
        chat = tok.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True)
        out["loaders"].append(
            {
                "name": name,
                "ids": ids,
                "texts": [tok.decode(i) for i in ids],
                "chat": chat,
                "chat_ids": tok.encode(chat),
                "special": [tok.bos_token_id, tok.eos_token_id, tok.pad_token_id],
                "no_token": tok.decode([len(tok)]),  # tokens are fewer than ids
                "max_length": tok.model_max_length,
            }
        )
    return out


for folder in sys.argv[1:]:
    print(json.dumps(describe(folder)), flush=True)
