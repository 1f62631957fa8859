"""Text to token ids and back, in a process of its own beside the engine's.

main() reads and writes one JSON value a line. The first line names the model and is
answered by facts about its tokenizer. Each further line is {"Op": …, "Items": […]},
answered by a list as long: {"tokens": […]}, {"text": …}, or {"error": …} for an item
that cannot be done.

What vLLM makes of a prompt or a completion is made here in the same way
(vllm/renderers/hf.py, vllm/v1/engine/detokenizer.py, 0.26.0), without importing it:
a tokenizer alone is there in a second.
"""

import json
import re
import sys

# Templates that take content as a list of parts go through it.
PARTS = re.compile(r"\{%-?\s*for\s+\w+\s+in\s+(\w+\.content\b|\w+\[['\"]content['\"]\]|content\b)")


def main():
    answers = sys.stdout
    sys.stdout = sys.stderr  # libraries may print; answers must stay clean
    first = json.loads(sys.stdin.readline())
    try:
        texts = Texts(load(first["Model"], first["TrustRemoteCode"]), first["ChatTemplate"])
        answer(answers, {"chat_template": texts.template is not None})
    except Exception as error:  # the parent names it and ends
        answer(answers, {"error": describe(error)})
        return
    for line in sys.stdin:
        job = json.loads(line)
        answer(answers, getattr(texts, "do_" + job["Op"])(job["Items"]))


def answer(out, value):
    out.write(json.dumps(value) + "\n")
    out.flush()


def describe(error):
    return f"{type(error).__name__}: {error}"


def load(model, trust_remote_code):
    sys.modules.setdefault("torch", None)  # takes seconds, and no tokenizer needs it
    from transformers import AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()  # else a warning for each prompt longer than the model's
    return AutoTokenizer.from_pretrained(model, trust_remote_code=trust_remote_code)


class Texts:
    def __init__(self, tokenizer, template=None):
        self.tokenizer = tokenizer
        try:
            self.template = tokenizer.get_chat_template(template or None)
        except ValueError:  # it has none
            self.template = None

    def do_encode(self, texts):
        """As a prompt: with the tokens that the model expects around it."""
        return self.encode(texts, True)

    def do_encode_plain(self, texts):
        return self.encode(texts, False)

    def encode(self, texts, special):
        def ids(batch):
            return self.tokenizer(batch, add_special_tokens=special, return_attention_mask=False)["input_ids"]

        try:
            return [{"tokens": i} for i in ids(texts)] if texts else []
        except Exception:  # one of them
            return [attempt(lambda t: {"tokens": ids([t])[0]}, t) for t in texts]

    def do_chat(self, conversations):
        """As LLM.chat: the template's text asks for the answer and has all special
        tokens in it."""
        rendered = [attempt(lambda c: {"text": self.render(c)}, c) for c in conversations]
        tokens = iter(self.encode([r["text"] for r in rendered if "text" in r], False))
        return [r if "error" in r else next(tokens) for r in rendered]

    def render(self, conversation):
        if self.template is None:
            raise ValueError("the model's tokenizer has no chat template: give one")
        parts = PARTS.search(self.template) is not None
        messages = [message(m, parts) for m in conversation]
        if "'developer'" not in self.template and '"developer"' not in self.template:
            messages = without_developer(messages)
        return self.tokenizer.apply_chat_template(
            messages, chat_template=self.template, tokenize=False, add_generation_prompt=True
        )

    def do_decode(self, outputs):
        return [attempt(self.decode, o) for o in outputs]

    def decode(self, output):
        """vLLM's text of an output: token after token, the prompt before it, and cut
        at the stop string that ended it."""
        pieces = self.pieces(output["Prompt"], output["Tokens"])
        if output["Stopped"] and pieces:
            text, last = "".join(pieces), len(pieces[-1])
            for stop in output["Stop"] or []:
                at = text.find(stop, max(0, len(text) - last - len(stop) + 1)) if last else -1
                if at >= 0:
                    return {"text": text[:at]}
            pieces.pop()  # no string: a stop token, which is none of the text
        return {"text": "".join(pieces)}

    def pieces(self, prompt, tokens):
        backend = getattr(self.tokenizer, "_tokenizer", None)
        if backend is None:  # a tokenizer in Python
            before = self.plain(prompt)
            texts = [self.plain(prompt + tokens[: i + 1])[len(before) :] for i in range(len(tokens))]
            return [t[len(b) :] for b, t in zip(["", *texts], texts)]
        from tokenizers.decoders import DecodeStream

        stream = DecodeStream(ids=prompt, skip_special_tokens=True)
        found = []
        for token in tokens:
            try:
                piece = stream.step(backend, token)
            except Exception as error:  # as vLLM: begin again after bytes that are no text
                if not str(error).startswith("Invalid prefix encountered"):
                    raise
                stream = DecodeStream(skip_special_tokens=True)
                piece = stream.step(backend, token)
            found.append(piece or "")
        return found

    def plain(self, tokens):
        return self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def do_token_texts(self, ids):
        return [attempt(lambda i: {"text": self.tokenizer.decode([i])}, i) for i in ids]


def attempt(do, item):
    try:
        return do(item)
    except Exception as error:
        return {"error": describe(error)}


def message(given, parts):
    """A message as the template takes it: its content a text or, if it wants parts,
    a list of them."""
    if not isinstance(given, dict) or "role" not in given:
        raise ValueError("a conversation is a list of messages with a role")
    made = {"role": given["role"]}
    content = given.get("content")
    texts = [content] if isinstance(content, str) else [text_of(p) for p in content or []]
    if parts and given["role"] != "tool":  # templates take a tool's answer as a text
        made["content"] = [{"type": "text", "text": t} for t in texts]
    else:
        made["content"] = "\n".join(texts)
    for key in ("name", "tool_call_id", "reasoning"):
        if given.get(key) is not None:
            made[key] = given[key]
    if calls := given.get("tool_calls"):
        made["tool_calls"] = [tool_call(c) for c in calls]
    return made


def text_of(part):
    if isinstance(part, str):
        return part
    kind = part.get("type")
    if kind not in ("text", "input_text", "output_text", "refusal"):
        raise ValueError(f"a content part of type {kind!r}: only text can be evaluated")
    return part["refusal" if kind == "refusal" else "text"]


def tool_call(call):
    """Templates expect arguments as an object, OpenAI's bodies carry them as a text."""
    function = dict(call["function"])
    arguments = function.get("arguments") or {}
    function["arguments"] = json.loads(arguments) if isinstance(arguments, str) else arguments
    return {**call, "function": function}


def without_developer(messages):
    """As vLLM for a template without that role: it becomes the system's, whose
    messages are then one, the first."""
    if not any(m["role"] == "developer" for m in messages):
        return messages
    system = [m["content"] for m in messages if m["role"] in ("developer", "system")]
    texts = [c if isinstance(c, str) else "\n".join(p["text"] for p in c) for c in system]
    first = {"role": "system", "content": "\n\n".join(t for t in texts if t)}
    return [first, *(m for m in messages if m["role"] not in ("developer", "system"))]
