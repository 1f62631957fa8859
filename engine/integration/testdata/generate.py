"""Greedy generation by vllm.LLM as its users run it, for comparison.

Prints {"Prompts": token ids, "Outputs": token ids, "Texts": text}, and as much of
chats, of outputs with stop strings, and of outputs with logprobs.
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

CHATS = [
    [{"role": "user", "content": "What is the capital of France?"}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Name a colour 🙂"}],
    [{"role": "user", "content": [{"type": "text", "text": "Say"}, {"type": "text", "text": "hello"}]}],
    [
        {"role": "user", "content": "2+2?"},
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": "And 3+3?"},
    ],
    [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Grüß dich, 你好"}],
]
STOP = [".", " a", "\n"]


def main():
    from vllm import LLM, SamplingParams

    llm = LLM(
        model=sys.argv[1],
        dtype="float32",  # as the test's engine
        enforce_eager=True,
        max_model_len=512,
        max_num_seqs=8,
        max_num_batched_tokens=256,
        enable_prefix_caching=False,
        generation_config="vllm",
        disable_log_stats=True,
    )

    def generate(**fields):
        return llm.generate(PROMPTS, SamplingParams(temperature=0, **fields), use_tqdm=False)

    stopped = generate(max_tokens=24, stop=STOP)
    scored = generate(max_tokens=4, logprobs=2, prompt_logprobs=1)
    plain = answers(generate(max_tokens=16))
    plain["Chats"] = CHATS
    plain["Chat"] = answers(llm.chat(CHATS, SamplingParams(temperature=0, max_tokens=16), use_tqdm=False))
    plain["Stop"] = STOP
    plain["Stopped"] = answers(stopped)
    plain["Scored"] = {
        "Output": [list(map(logprobs, r.outputs[0].logprobs)) for r in scored],
        "Prompt": [list(map(logprobs, r.prompt_logprobs[1:])) for r in scored],
    }
    json.dump(plain, sys.stdout)


def answers(results):
    return {
        "Prompts": [list(r.prompt_token_ids) for r in results],
        "Outputs": [list(r.outputs[0].token_ids) for r in results],
        "Texts": [r.outputs[0].text for r in results],
        "Finish": [r.outputs[0].finish_reason for r in results],
    }


def logprobs(place):
    return {token: of.logprob for token, of in place.items()}


if __name__ == "__main__":
    main()
