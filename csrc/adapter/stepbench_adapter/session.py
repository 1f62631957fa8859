"""One open engine: opening, submitting, ending and controlling requests."""

import contextlib
import json
import sys
import time

from . import describe, numerics, ranks, rayranks, rendezvous, spawned, variant, weights
from .conditions import Conditions
from .profile import Profiler

# The parts of RequestStateStats that travel, in the order of the shim's rows:
# (vllm/v1/metrics/stats.py). arrival_time and first_token_latency are wall
# clock, the *_ts fields CLOCK_MONOTONIC; all are seconds.
STATS = (
    "arrival_time",
    "queued_ts",
    "scheduled_ts",
    "first_token_ts",
    "last_token_ts",
    "first_token_latency",
    "num_generation_tokens",
)
STATS_WIDTH = 10  # SB_STATS


def stats_row(metrics, cached_tokens):
    if metrics is None:
        row = [0.0] * len(STATS) + [float(cached_tokens or 0), 0.0]
    else:
        row = [float(getattr(metrics, name)) for name in STATS]
        row += [float(cached_tokens or 0), float(metrics.is_corrupted)]
    return tuple(row + [0.0] * (STATS_WIDTH - len(row)))


def say(text):
    print(f"stepbench: {text}", file=sys.stderr, flush=True)


def engine_args(config):
    """EngineArgs as keyword arguments; absent numbers stay vLLM's default."""
    model = config["model"]
    args = {
        "model": model["path"],
        "seed": config.get("seed", 0),
        "enable_prefix_caching": config.get("prefix_caching", False),
        "async_scheduling": False,  # one step() is one forward pass
        "generation_config": "vllm",
        "disable_log_stats": False,
        "load_format": weights.load_format(model),
        "trust_remote_code": False,  # a model folder's own Python
    }
    for key, name in (
        ("dtype", "dtype"),
        ("max_model_len", "max_model_len"),
        ("max_num_seqs", "max_num_seqs"),
        ("max_num_batched_tokens", "max_num_batched_tokens"),
        ("kv_cache_bytes", "kv_cache_memory_bytes"),
        ("enforce_eager", "enforce_eager"),
        ("skip_tokenizer", "skip_tokenizer_init"),
    ):
        if config.get(key):
            args[name] = config[key]
    args.update(parallel_args(config))
    args.update(config.get("extra") or {})
    return args


def parallel_args(config):
    tp, pp = config.get("tp") or 1, config.get("pp") or 1
    executor = config.get("executor") or ("mp" if tp * pp > 1 else None)
    if executor is None:
        return {}
    args = {
        "tensor_parallel_size": tp,
        "pipeline_parallel_size": pp,
        "distributed_executor_backend": executor,
    }
    if executor == "mp":
        args["worker_extension_cls"] = "stepbench_adapter.rank.Rank"
    return args


def watched(args):
    if args.get("distributed_executor_backend") != "mp":
        return contextlib.nullcontext()
    from vllm.v1.executor.multiproc_executor import WorkerProc

    return ranks.opening(WorkerProc)


def open_session(text):
    config = json.loads(text)
    start = time.monotonic()
    changed = config.get("variant")
    variant.replace_modules(changed)
    spawned.prepare(changed)
    say("importing vLLM")
    from vllm.engine.arg_utils import EngineArgs
    from vllm.v1.engine.llm_engine import LLMEngine

    from .probe import Probe

    loaded = variant.load(changed)
    say(f"opening {config['model']['name']}")
    args = engine_args(config)
    rendezvous.private(args.get("distributed_executor_backend"))
    with watched(args):
        engine = LLMEngine.from_engine_args(EngineArgs(**args))
    session = Session(engine, Probe(engine), audit=config.get("audit", False))
    session.variant = loaded
    facts = describe.engine(engine, open_s=time.monotonic() - start, ranks=session.ranks)
    if loaded is not None:
        facts["variant"] = loaded.describe()
    if session.ranks:
        session.ranks.forget_names()
    session.info = json.dumps(facts)
    say(f"engine open after {facts['open_s']:.1f} s")
    return session


def fewest(calls):
    """Of several ranks' numbers by name, the least of each."""
    return {name: min(c.get(name, 0) for c in calls) for name in calls[0]}


class Session:
    """What the shim binds to: see bind() in csrc/src/engine.c."""

    def __init__(self, engine, probe, audit):
        from vllm.sampling_params import RequestOutputKind, SamplingParams

        self.engine = engine
        self.probe = probe
        self.info = "{}"
        self.variant = None  # stock
        self.audited = {} if audit else None
        self.logprobs = {}  # of ended requests that asked, until taken
        executor = engine.engine_core.engine_core.model_executor
        self.ranks = ranks.of(executor)  # None: in this process, or on other hosts
        self.profiler = self.ranks or Profiler(describe.platform_name())
        self.conditions = Conditions(describe.platform_name(), self.ranks)
        watched = self.ranks or rayranks.of(executor)
        self.step = watched.guard(engine.step) if watched else engine.step
        self.after = probe.fill
        self.counters = probe.cells
        self.set_limits = probe.set_limits
        self._sampling = SamplingParams
        self._delta, self._final = RequestOutputKind.DELTA, RequestOutputKind.FINAL_ONLY
        self._detokenize = engine.tokenizer is not None

    def params(self, text):
        return [self._params(**p) for p in json.loads(text)]

    def _params(self, stop=None, final_only=False, **fields):
        """SamplingParams, or the exception they raised: it refuses the requests
        that use them, not the others of their batch."""
        if "logprobs" in fields or "prompt_logprobs" in fields:
            fields["flat_logprobs"] = True
        try:
            return self._sampling(
                stop=stop,
                # Text is made from token ids elsewhere; only stop strings need it here.
                detokenize=bool(stop) and self._detokenize,
                output_kind=self._final if final_only else self._delta,
                **fields,
            )
        except (TypeError, ValueError) as e:
            return e

    def submit(self, request_id, tokens, params, arrival_time):
        if isinstance(params, Exception):
            raise params
        self.engine.add_request(
            str(request_id),
            {"type": "token", "prompt_token_ids": tokens},
            params,
            arrival_time=arrival_time,
        )

    def finish(self, output):
        if self.audited is not None:
            self.audited[output.request_id] = output.metrics
        own, prompt = output.outputs[0].logprobs, output.prompt_logprobs
        if own is not None or prompt is not None:
            self.logprobs[output.request_id] = own, prompt
        return stats_row(output.metrics, output.num_cached_tokens)

    def call(self, method, args):
        handler = getattr(self, "do_" + method, None)
        if handler is None:
            raise ValueError(f"no control method {method!r}")
        return json.dumps(handler(json.loads(args)))

    def do_abort(self, ids):
        """Ends requests; answers {id: stats row} as far as each had come."""
        wanted, rows = {str(i) for i in ids}, {}
        for state in self.engine.output_processor.request_states.values():
            if state.external_req_id in wanted:
                rows[state.external_req_id] = stats_row(state.stats, state.num_cached_tokens)
        self.engine.abort_request(list(wanted))
        return rows

    def do_take_logprobs(self, ids):
        """Logprobs of requests that ended, by id; they are forgotten here."""
        taken = {}
        for i in map(str, ids):
            own, prompt = self.logprobs.pop(i, (None, None))
            taken[i] = {"output": numerics.packed(own), "prompt": numerics.packed(prompt)}
        return taken

    def do_audit(self, _):
        """RequestStateStats of all requests ended so far, floats as hex, so that
        a reader can compare bits."""
        if self.audited is None:
            raise ValueError("the engine was not opened with audit")
        return {i: {name: float(getattr(m, name)).hex() for name in STATS} for i, m in self.audited.items()}

    def do_reset_prefix_cache(self, _):
        return self.engine.reset_prefix_cache()

    def do_gc(self, args):
        """Switches Python's garbage collector, and collects now if asked."""
        import gc

        self.conditions.measuring = False
        gc.disable()
        if args["collect"]:
            gc.collect()
        if args["enabled"]:
            gc.enable()
        else:
            self.conditions.measuring = True
        return True

    def do_trim(self, _):
        """Gives memory that this process freed back to the system: what is left is held.
        glibc keeps it in pieces otherwise, as much as there was at the largest profile.
        True if there was any. Steps after it fetch their pages anew."""
        import ctypes
        import gc

        gc.collect()
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's own
        return bool(trim and trim(0))

    def do_profile_start(self, _):
        self.profiler.start()
        return True

    def do_profile_stop(self, args):
        return self.profiler.stop(args["windows"], args["events"])

    def do_conditions(self, _):
        return self.conditions.now()

    def do_host_loop(self, _):
        from . import hostloop

        return hostloop.measure()

    def do_variant_calls(self, _):
        """How often each op of the loaded variant was called from the host, by
        "namespace::op"; of several ranks, in the one that called it least. Replayed
        CUDA graphs do not count."""
        if self.ranks:
            return fewest(self.ranks.ask("variant_calls"))
        return self.variant.calls() if self.variant else {}

    def do_ranks(self, _):
        """What each rank has used so far, and the calls of the variant's ops in it."""
        if not self.ranks:
            return []
        calls = self.ranks.ask("variant_calls")
        return [{**use, "variant_calls": c} for use, c in zip(self.ranks.ask("use"), calls)]

    def do_numerics(self, args):
        return numerics.run(self, **args)

    def do_tokenise(self, args):
        """Token ids of each text, without special tokens."""
        if self.engine.tokenizer is None:
            raise ValueError("the engine was opened without a tokenizer, and text needs the model's")
        return self.engine.tokenizer(args["texts"], add_special_tokens=False)["input_ids"]

    def do_ceilings(self, args):
        from . import ceilings

        if self.ranks:
            return fewest(self.ranks.ask("ceilings", args["dtype"]))
        return ceilings.measure(describe.platform_name(), args["dtype"])

    def do_threads(self, _):
        return describe.threads()

    def do_shutdown(self, _):
        """Ends executors and process groups; the interpreter itself stays up,
        because finalizing it with torch loaded can crash."""
        import atexit
        import logging

        if self.ranks:
            self.ranks.end()  # what runs at exit would ask them once more
        else:
            self.engine.engine_core.shutdown()
            atexit._run_exitfuncs()
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        return True
