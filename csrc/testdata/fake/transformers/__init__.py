"""A stand-in for transformers with the names that the adapter's tokenizer uses. A
byte is a token, after a 0 for the beginning; tokens above 255 are special. Models
that misbehave: "unknown" has no tokenizer, "mute" no chat template. A text "die"
ends the process, "die once" does so unless the file $STEPBENCH_FAKE_DIED is there;
"refuse" raises.
"""

import os
import sys
import time


class AutoTokenizer:
    @staticmethod
    def from_pretrained(model, trust_remote_code):
        if trust_remote_code:
            raise RuntimeError("the code of strangers")
        if model.endswith("unknown"):
            raise OSError(f"{model} is not a local folder and is not a model identifier")
        return Tokenizer(None if model.endswith("mute") else "own template")


class Tokenizer:
    def __init__(self, template):
        self.template = template

    def __call__(self, texts, add_special_tokens, return_attention_mask):
        return {"input_ids": [[0] * add_special_tokens + list(encode(t)) for t in texts]}

    def get_chat_template(self, given):
        if given or self.template:
            return given or self.template
        raise ValueError("no chat template")

    def apply_chat_template(self, messages, chat_template, tokenize, add_generation_prompt):
        if tokenize or not add_generation_prompt:
            raise RuntimeError("asked for something else than a question as text")
        return "|".join([chat_template, *(f"{m['role']}:{m['content']}" for m in messages), "assistant:"])

    def decode(self, tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False):
        text = "".join(chr(t) if t < 256 else "" if skip_special_tokens else f"<{t}>" for t in tokens)
        return text.removeprefix(" ")  # as tokenizers whose words begin with a space


def encode(text):
    if text == "refuse":
        raise ValueError("this text is refused")
    if text == "wait":
        time.sleep(60)
    died = os.environ.get("STEPBENCH_FAKE_DIED")
    if text == "die" or (text == "die once" and not os.path.exists(died)):
        if died:
            open(died, "w").close()
        print("the last words", file=sys.stderr, flush=True)
        os._exit(3)
    return text.encode()
