"""What vllm.LLM answers, and what scores its answers deserve, in plain Python.

python reference.py MODEL ASKED ANSWERED. ASKED holds chats, rows that are answered
and scored, multiple choices, and parameters. The scores are computed here from
vLLM's own outputs and logprobs, with nothing of stepbench.
"""

import json
import math
import re
import string
import sys


def normalized(text):
    """normalize_answer of SQuAD's evaluation script, for ASCII."""
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def number(text):
    """The last number of a text that has no thousands, units or exponents."""
    found = re.findall(r"-?\d+(?:\.\d+)?", text)
    return float(found[-1]) if found else None


def under(schema, text):
    import jsonschema

    try:
        jsonschema.validate(json.loads(text), schema)
    except (ValueError, jsonschema.ValidationError):
        return False
    return True


def scores(row, text, logprobs, asked):
    want = row["reference"]
    of = {
        "exact": text.strip() == want.strip(),
        "normalized": normalized(text) == normalized(want),
        "contains": want.strip() in text,
        "regex": re.search(asked["pattern"], text) is not None,
        "json-schema": under(asked["schema"], text),
    }
    if number(want) is not None:
        of["numeric"] = number(text) == number(want)
    return {**{k: float(v) for k, v in of.items()}, "perplexity": math.exp(-sum(logprobs) / len(logprobs))}


def prompt_logprobs(output):
    """Of the prompt's tokens from the second on."""
    tokens, at = output.prompt_token_ids[1:], output.prompt_logprobs[1:]
    return [of[token].logprob for token, of in zip(tokens, at, strict=True)]


def choice(llm, tokenizer, row):
    """Log-likelihoods of the options, and whether the likeliest is right."""
    from vllm import SamplingParams, TokensPrompt

    prompt = tokenizer.encode(row["prompt"])
    options = [tokenizer.encode(option, add_special_tokens=False) for option in row["options"]]
    whole = [TokensPrompt(prompt_token_ids=prompt + option) for option in options]
    outputs = llm.generate(whole, SamplingParams(max_tokens=1, prompt_logprobs=0), use_tqdm=False)
    sums = [sum(prompt_logprobs(o)[-len(option) :]) for o, option in zip(outputs, options, strict=True)]
    normed = [s / len(option) for s, option in zip(sums, row["options"], strict=True)]
    right = {
        "choice": float(sums.index(max(sums)) == row["answer"]),
        "choice-norm": float(normed.index(max(normed)) == row["answer"]),
    }
    return {"log_likelihoods": sums, "scores": right}


def main():
    from vllm import LLM, SamplingParams

    model, source, target = sys.argv[1:]
    with open(source) as f:
        asked = json.load(f)
    llm = LLM(
        model=model,
        dtype="float32",
        enforce_eager=True,
        max_model_len=512,
        max_num_seqs=64,
        generation_config="vllm",
        disable_log_stats=True,
    )
    tokenizer = llm.get_tokenizer()
    greedy = SamplingParams(temperature=0, max_tokens=asked["max_tokens"])
    prompts = [
        tokenizer.apply_chat_template(c, tokenize=False, add_generation_prompt=True) for c in asked["chats"]
    ]
    answered = {
        "chat": [o.outputs[0].text for o in llm.chat(asked["chats"], greedy, use_tqdm=False)],
        "prompts": prompts,
    }
    generated = llm.generate(prompts, greedy, use_tqdm=False)
    answered["generate"] = [o.outputs[0].text for o in generated]
    answered["tokens"] = [o.prompt_token_ids for o in generated]

    params = SamplingParams(
        temperature=0, max_tokens=asked["max_tokens"], stop=asked["stop"], prompt_logprobs=0
    )
    outputs = llm.generate([row["prompt"] for row in asked["rows"]], params, use_tqdm=False)
    answered["rows"] = [
        {"text": o.outputs[0].text, "scores": scores(row, o.outputs[0].text, prompt_logprobs(o), asked)}
        for row, o in zip(asked["rows"], outputs, strict=True)
    ]
    answered["choices"] = [choice(llm, tokenizer, row) for row in asked["choices"]]
    with open(target, "w") as f:
        json.dump(answered, f)


if __name__ == "__main__":
    main()
