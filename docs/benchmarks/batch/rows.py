"""Requests of mixed lengths as OpenAI Batch JSONL: python rows.py MODEL_FOLDER FILE [--rows 1000 …]

A seed gives the same rows each time. Lengths of prompts are log-uniform, those of
answers uniform; every answer has exactly its max_tokens, whatever the model says.
Prompts begin with their number, so that no two share more than the chat template's
first tokens.
"""

import argparse
import json
import math
import pathlib
import random

# The most frequent English words.
WORDS = (pathlib.Path(__file__).resolve().parents[3] / "engine/preset/words.txt").read_text().split()[:200]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder with the tokenizer that counts the tokens")
    parser.add_argument("file", help="to write")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument(
        "--input-len", type=int, nargs=2, default=(32, 1024), help="tokens of a prompt's text, least and most"
    )
    parser.add_argument(
        "--output-len", type=int, nargs=2, default=(16, 256), help="tokens of an answer, least and most"
    )
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def write_rows(model, file, rows, input_len, output_len, seed):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    random_ = random.Random(seed)
    low, high = (math.log(n) for n in input_len)
    with open(file, "w") as f:
        for i in range(rows):
            length = round(math.exp(random_.uniform(low, high)))
            text = " ".join([f"{i}:", *random_.choices(WORDS, k=length)])
            tokens = tokenizer.encode(text, add_special_tokens=False)[:length]
            body = {
                "model": "model",
                "messages": [{"role": "user", "content": tokenizer.decode(tokens)}],
                "max_tokens": random_.randint(*output_len),
                "temperature": 0,
                "ignore_eos": True,
            }
            row = {"custom_id": f"row-{i}", "method": "POST", "url": "/v1/chat/completions", "body": body}
            print(json.dumps(row), file=f)


if __name__ == "__main__":
    given = arguments()
    write_rows(given.model, given.file, given.rows, given.input_len, given.output_len, given.seed)
