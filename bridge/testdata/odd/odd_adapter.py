"""An adapter that breaks the shim's expectations, one at a time."""

import gc
import json
import sys
from array import array
from types import SimpleNamespace as Bag

CELLS = 24
ROW = tuple(float(i) for i in range(10))


class Rude:
    def __bool__(self):
        raise RuntimeError("neither true nor false")

    def __getitem__(self, i):
        raise LookupError("no item")


class Silent(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def output(**changes):
    part = Bag(token_ids=changes.pop("token_ids", [5]), finish_reason=changes.pop("reason", "stop"))
    return Bag(**({"request_id": "1", "outputs": [part], "finished": False} | changes))


def fail(kind, *args):
    def step():
        raise kind(*args)  # a new one: each raise adds to an exception's traceback

    return step


def chained():
    try:
        raise OSError("the cause")
    except OSError as e:
        raise ValueError("the effect") from e


STEPS = {
    "fine": lambda: [output()],
    "a tuple": lambda: (output(token_ids=(1, 2, 3)), output(request_id="-2", token_ids=[])),
    "no sequence": lambda: 5,
    "no output": lambda: [None],
    "id is a word": lambda: [output(request_id="7up")],
    "id is empty": lambda: [output(request_id="")],
    "id is a number": lambda: [output(request_id=7)],
    "no parts": lambda: [output(outputs=[])],
    "parts are rude": lambda: [output(outputs=Rude())],
    "tokens are missing": lambda: [output(outputs=[Bag()])],
    "tokens are a number": lambda: [output(token_ids=5)],
    "token is a word": lambda: [output(token_ids=[1, "two"])],
    "finished is rude": lambda: [output(finished=Rude())],
    "fails after good ones": lambda: [output(), output(), None],
    "stop": lambda: [output(finished=True)],
    "length": lambda: [output(finished=True, reason="length")],
    "abort": lambda: [output(finished=True, reason="abort")],
    "error": lambda: [output(finished=True, reason="error")],
    "no reason": lambda: [output(finished=True, reason=None)],
    "no stats": lambda: [output(finished=True, row=None)],
    "stats are short": lambda: [output(finished=True, row=(1.0,))],
    "stats are a list": lambda: [output(finished=True, row=list(ROW))],
    "stats hold a word": lambda: [output(finished=True, row=(*ROW[:9], "ten"))],
    "stats hold minus one": lambda: [output(finished=True, row=(*ROW[:9], -1.0))],
    "lone surrogate": fail(ValueError, "half \ud800 of a pair"),
    "silent": fail(Silent),
    "long": fail(ValueError, "x" * 100_000),
    "chained": chained,
    "keyboard": fail(KeyboardInterrupt),
}


class Engine:
    def __init__(self):
        self.counters = array("q", [0] * CELLS)
        self.info = "{}"
        self.next = "fine"

    def step(self):
        name, self.next = self.next, "fine"
        return STEPS[name]()

    # What these return is nobody's, but must be released: None would not show.
    def after(self):
        return [1]

    def set_limits(self, tokens, seqs):
        return [tokens, seqs]

    def submit(self, *request):
        return [request]

    def params(self, text):
        return json.loads(text)

    def finish(self, output):
        return getattr(output, "row", ROW)

    def call(self, method, args):
        if method == "next":
            self.next = args
            return "{}"
        if method == "blocks":
            gc.collect()
            return str(sys.getallocatedblocks())
        return {"number": 5, "surrogate": "\ud800", "none": None}[method]


def open(config):
    """config: {} or the attributes to change, null to remove one."""
    engine = Engine()
    for name, value in json.loads(config).items():
        if name == "counters" and value is not None:
            value = array("q", [0] * value) if value else bytes(8 * CELLS)
        setattr(engine, name, value)
        if value is None:
            engine = Without(engine, name)
    return engine


class Without:
    def __init__(self, engine, name):
        self.engine, self.name = engine, name

    def __getattr__(self, name):
        if name == self.name:
            raise AttributeError(f"engine has no {name}")
        return getattr(self.engine, name)
