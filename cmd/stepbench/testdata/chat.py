"""The answers of vllm.LLM.chat, as its users run it, for comparison.

Takes a model folder, a file with a JSON list of chats, and where to write their
texts: vLLM's log goes to stdout.
"""

import json
import sys


def main():
    from vllm import LLM, SamplingParams

    llm = LLM(
        model=sys.argv[1],
        dtype="float32",
        enforce_eager=True,
        max_model_len=512,
        max_num_seqs=8,
        generation_config="vllm",
        disable_log_stats=True,
    )
    with open(sys.argv[2]) as f:
        chats = json.load(f)
    results = llm.chat(chats, SamplingParams(temperature=0, max_tokens=12), use_tqdm=False)
    with open(sys.argv[3], "w") as f:
        json.dump([r.outputs[0].text for r in results], f)


if __name__ == "__main__":
    main()
