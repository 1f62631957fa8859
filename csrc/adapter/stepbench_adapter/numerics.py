"""What a model answers, to the bit: tokens and logprobs by which two builds of its
kernels are compared."""

import base64
import struct

from .probe import INDEX

IDLE_LIMIT = 1000  # steps in a row without work; a few are normal
SHAPE = ("ctx_reqs", "ctx_tokens", "gen_reqs", "gen_tokens", "preempted")


def run(session, mode, prompts, top_k, max_tokens=1, continuations=None):
    """mode "generate": the greedy continuations of prompts, max_tokens each.
    mode "score": continuations that are given, each token as the model sees it
    after the true ones before it (prompt logprobs).

    All prompts are submitted at once and in order, so that batches are the same
    every time; "steps" lists them. The prefix cache is not read. "kind" says
    whether the values are logprobs or, as the engine was opened, logits.
    """
    from vllm.sampling_params import RequestOutputKind, SamplingParams

    if mode not in ("generate", "score"):
        raise ValueError(f"numerics: no mode {mode!r}")
    score = mode == "score"
    inputs = [p + c for p, c in zip(prompts, continuations, strict=True)] if score else prompts
    check(session.engine, inputs)
    params = SamplingParams(
        temperature=0,
        max_tokens=1 if score else max_tokens,
        ignore_eos=True,
        detokenize=False,
        flat_logprobs=True,
        skip_reading_prefix_cache=True,
        output_kind=RequestOutputKind.FINAL_ONLY,
        **{"prompt_logprobs" if score else "logprobs": top_k},
    )
    outputs, steps = drive(session, inputs, params)
    if score:
        flat = [(o.prompt_logprobs, len(p)) for o, p in zip(outputs, prompts)]
    else:
        flat = [(o.outputs[0].logprobs, 0) for o in outputs]
    kind = session.engine.vllm_config.model_config.logprobs_mode.split("_")[1]
    return {"kind": kind, "sequences": [sequence(f, first, top_k) for f, first in flat], "steps": steps}


def check(engine, inputs):
    """Refuses what would give wrong answers instead of an error."""
    if engine.has_unfinished_requests():
        raise RuntimeError("numerics: other requests are in flight and would share the batches")
    vocab = engine.vllm_config.model_config.get_vocab_size()
    for i, tokens in enumerate(inputs):
        # Without a tokenizer vLLM does not check ids.
        if not all(0 <= t < vocab for t in tokens):
            raise ValueError(f"numerics: prompt {i} has a token outside the vocabulary 0..{vocab - 1}")


def drive(session, inputs, params):
    """Runs the engine until all are answered: (outputs in order, shape of each step)."""
    engine, done, steps, idle = session.engine, {}, [], 0
    ids = [f"numerics-{i}" for i in range(len(inputs))]  # those of Go are numbers
    session.set_limits(0, 0)
    try:
        for i, tokens in zip(ids, inputs):
            engine.add_request(i, {"type": "token", "prompt_token_ids": tokens}, params)
        while len(done) < len(ids):
            outputs, shape = step(session)
            done.update((o.request_id, o) for o in outputs if o.finished)
            if outputs or any(shape):
                steps.append(shape)
                idle = 0
            elif (idle := idle + 1) > IDLE_LIMIT:
                raise RuntimeError("numerics: the engine has lost requests")
    finally:
        if left := [i for i in ids if i not in done]:
            engine.abort_request(left)
    return [done[i] for i in ids], steps


def step(session):
    """One step as the shim takes it; the probe keeps state from step to step."""
    cells = session.counters
    for i in range(len(cells)):
        cells[i] = 0
    try:
        outputs = session.step()
    finally:
        session.after()
    return outputs, [cells[INDEX[name]] for name in SHAPE]


def sequence(flat, first, top_k):
    """Positions of a FlatLogprobs from first on. Each lists the token of the text,
    then the top_k most likely."""
    tokens, logprobs, top, top_logprobs = [], [], [], []
    for begin, end in zip(flat.start_indices[first:], flat.end_indices[first:]):
        if end - begin != 1 + top_k:
            raise RuntimeError(f"numerics: a position has {end - begin} logprobs, want {1 + top_k}")
        tokens.append(flat.token_ids[begin])
        logprobs.append(flat.logprobs[begin])
        top += flat.token_ids[begin + 1 : end]
        top_logprobs += flat.logprobs[begin + 1 : end]
    return {"tokens": tokens, "logprobs": bits(logprobs), "top": top, "top_logprobs": bits(top_logprobs)}


def packed(flat):
    """A FlatLogprobs whole: 1+top tokens a place, without the places that have
    none (a prompt's first). vLLM computes float32."""
    if flat is None:
        return None
    places = [(b, e) for b, e in zip(flat.start_indices, flat.end_indices) if e > b]
    widths = {e - b for b, e in places}
    if len(widths) > 1:
        raise RuntimeError(f"logprobs: places have {min(widths)} to {max(widths)} tokens, want as many each")
    return {
        "top": max(widths, default=1) - 1,
        "tokens": bits(flat.token_ids, "i"),
        "values": bits(flat.logprobs, "f"),
    }


def bits(values, kind="d"):
    """Little-endian in base64: JSON has no NaN, and every bit counts."""
    return base64.b64encode(struct.pack(f"<{len(values)}{kind}", *values)).decode()
