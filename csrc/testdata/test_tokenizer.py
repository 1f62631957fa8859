"""Chat messages as vLLM prepares them for a template, and texts of outputs."""

import unittest

from stepbench_adapter import tokenizer


class Letters:
    """A letter is a token, its code point; a template may be set. Tokenizers in
    Python have no backend."""

    template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"

    def get_chat_template(self, given):
        return given or self.template

    def apply_chat_template(self, messages, chat_template, tokenize, add_generation_prompt):
        return repr(messages)

    def decode(self, tokens, **_):
        return "".join(map(chr, tokens))


def tokens(text):
    return list(map(ord, text))


class Decode(unittest.TestCase):
    def decode(self, text, prompt="x", stop=None, stopped=True):
        output = {"Prompt": tokens(prompt), "Tokens": tokens(text), "Stop": stop, "Stopped": stopped}
        return tokenizer.Texts(Letters()).decode(output)["text"]

    def test_length(self):
        self.assertEqual(self.decode("a cat", stopped=False), "a cat")
        self.assertEqual(self.decode("a cat", stop=["cat"], stopped=False), "a cat")
        self.assertEqual(self.decode("", stopped=True), "")

    def test_stop_token(self):
        self.assertEqual(self.decode("a cat$"), "a cat")
        self.assertEqual(self.decode("a cat$", stop=["cat"]), "a cat")  # it did not end there

    def test_stop_string(self):
        self.assertEqual(self.decode("a cat", stop=["dog", "cat"]), "a ")
        self.assertEqual(self.decode("a cat", stop=["t", "cat"]), "a ca")  # the first listed
        self.assertEqual(self.decode("t cat", stop=["t"]), "t ca")  # only what the last token completed

    def test_space_after_the_prompt(self):
        class Words(Letters):
            def decode(self, ids, **_):
                return super().decode(ids).removeprefix(" ")

        texts = tokenizer.Texts(Words())
        output = {"Prompt": tokens("x"), "Tokens": tokens(" cat"), "Stop": None, "Stopped": False}
        self.assertEqual(texts.decode(output)["text"], " cat")
        self.assertEqual(texts.decode({**output, "Prompt": []})["text"], "cat")


class Render(unittest.TestCase):
    def render(self, messages, template=Letters.template):
        texts = tokenizer.Texts(Letters(), template)
        return eval(texts.render(messages))

    def test_content(self):
        parts = [{"type": "text", "text": "a"}, "b", {"type": "refusal", "refusal": "c"}]
        wants_parts = "{% for m in messages %}{% for p in m['content'] %}{{ p }}{% endfor %}{% endfor %}"
        given = [{"role": "user", "content": c} for c in (parts, "d", None)]
        self.assertEqual([m["content"] for m in self.render(given)], ["a\nb\nc", "d", ""])
        as_parts = [[{"type": "text", "text": t} for t in m] for m in ("abc", "d", "")]
        self.assertEqual([m["content"] for m in self.render(given, wants_parts)], as_parts)
        tool = [{"role": "tool", "tool_call_id": "1", "content": parts}]
        (made,) = self.render(tool, wants_parts)
        self.assertEqual(made, {"role": "tool", "content": "a\nb\nc", "tool_call_id": "1"})

    def test_developer(self):
        given = [{"role": r, "content": r[0]} for r in ("user", "developer", "system", "user")]
        user = {"role": "user", "content": "u"}
        self.assertEqual(self.render(given), [{"role": "system", "content": "d\n\ns"}, user, user])
        self.assertEqual(self.render(given, "{% if m.role == 'developer' %}"), given)

    def test_tool_calls(self):
        def call(arguments):
            return {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}

        calls = [call('{"a": 1}'), call(""), call({"b": 2})]
        given = [{"role": "assistant", "content": None, "tool_calls": calls}]
        (made,) = self.render(given)
        self.assertEqual([c["function"]["arguments"] for c in made["tool_calls"]], [{"a": 1}, {}, {"b": 2}])
        self.assertEqual(given[0]["tool_calls"][0]["function"]["arguments"], '{"a": 1}')

    def test_errors(self):
        image = {"role": "user", "content": [{"type": "image_url"}]}
        for bad in ("text", [{"content": "a"}], [image], 3, [None]):
            (answer,) = tokenizer.Texts(Letters()).do_chat([bad])
            self.assertIn("Error: ", answer["error"])


if __name__ == "__main__":
    unittest.main()
