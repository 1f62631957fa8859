"""Greedy generation by vllm.LLM as its users run it, for comparison.

Prints {"Prompts": token ids, "Outputs": token ids, "Texts": text}.
"""

import json
import sys

PROMPTS = [
    "The capital of France is",
    "Two plus two equals",
    "def fibonacci(n):\n",
    "Once upon a time there was a small dog who",
    "Water boils at a temperature of",
    "The opposite of hot is",
]


def main():
    from vllm import LLM, SamplingParams

    llm = LLM(
        model=sys.argv[1],
        enforce_eager=True,
        max_model_len=512,
        max_num_seqs=8,
        max_num_batched_tokens=256,
        enable_prefix_caching=False,
        generation_config="vllm",
        disable_log_stats=True,
    )
    results = llm.generate(PROMPTS, SamplingParams(temperature=0, max_tokens=16), use_tqdm=False)
    json.dump(
        {
            "Prompts": [list(r.prompt_token_ids) for r in results],
            "Outputs": [list(r.outputs[0].token_ids) for r in results],
            "Texts": [r.outputs[0].text for r in results],
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
