import ctypes
import time
from types import SimpleNamespace as Bag

from vllm.sampling_params import RequestOutputKind

from . import handlers

VOCAB = 1000


class Request:
    def __init__(self, req_id, tokens, params, arrival_time):
        self.req_id, self.tokens, self.params = req_id, tokens, params
        self.computed, self.output = 0, []
        self.stats = Bag(
            arrival_time=arrival_time,
            queued_ts=time.monotonic(),
            scheduled_ts=0.0,
            first_token_ts=0.0,
            last_token_ts=0.0,
            first_token_latency=0.0,
            num_generation_tokens=0,
            is_corrupted=False,
        )
        self.external_req_id, self.num_cached_tokens = req_id, 0

    def todo(self):
        return len(self.tokens) + len(self.output) - self.computed


class Scheduler:
    def __init__(self, tokens, seqs):
        self.max_num_scheduled_tokens, self.max_num_running_reqs = tokens, seqs
        self.running, self.waiting = [], []
        self.kv_cache_manager = Bag(usage=0.0)

    def get_request_counts(self):
        return len(self.running), len(self.waiting)

    def _preempt_request(self, request, timestamp):
        self.running.remove(request)
        self.waiting.insert(0, request)

    def schedule(self, throttle=False):
        budget, counts, cached, new = self.max_num_scheduled_tokens, {}, [], []
        for r in self.running:
            n = min(r.todo(), budget)
            if n:
                counts[r.req_id], budget = n, budget - n
                cached.append(r)
        while self.waiting and budget and len(self.running) < self.max_num_running_reqs:
            r = self.waiting.pop(0)
            r.stats.scheduled_ts = r.stats.scheduled_ts or time.monotonic()
            n = min(r.todo(), budget)
            counts[r.req_id], budget = n, budget - n
            self.running.append(r)
            new.append(r)
        return Bag(
            scheduled_new_reqs=new,
            scheduled_cached_reqs=Bag(
                req_ids=[r.req_id for r in cached],
                num_output_tokens=[len(r.output) for r in cached],
            ),
            num_scheduled_tokens=counts,
            total_num_scheduled_tokens=sum(counts.values()),
        )

    def update_from_output(self, so, tokens):
        now, ended = time.monotonic(), []
        by_id = {r.req_id: r for r in self.running}
        for i, n in so.num_scheduled_tokens.items():
            r = by_id[i]
            r.computed += n
            if r.todo():
                continue  # a chunk of the prompt
            r.output.append(tokens[i])
            r.stats.first_token_ts = r.stats.first_token_ts or now
            r.stats.last_token_ts = now
            r.stats.num_generation_tokens += 1
            ended.append((r, len(r.output) == r.params.max_tokens))
        self.running = [r for r in self.running if len(r.output) < r.params.max_tokens]
        return ended


class Dispatcher:
    """Chooses the CUDA graph of a step: the smallest one captured that holds it."""

    def __init__(self, sizes):
        self.sizes = sorted(sizes)

    def dispatch(self, num_tokens):
        for size in self.sizes:
            if num_tokens <= size:
                return Bag(name="FULL"), Bag(num_tokens=size)
        return Bag(name="NONE"), Bag(num_tokens=num_tokens)


class Executor:
    def __init__(self, scheduler, sizes):
        self.scheduler = scheduler
        self.graphs = Dispatcher(sizes)
        self.driver_worker = Bag(worker=Bag(model_runner=Bag(cudagraph_dispatcher=self.graphs)))

    def execute_model(self, so, non_block=True):
        self.graphs.dispatch(so.total_num_scheduled_tokens)
        for r in self.scheduler.running:
            misbehave(r.tokens)

    def sample_tokens(self, so):
        return {r.req_id: (sum(r.tokens) + len(r.output)) % VOCAB for r in self.scheduler.running}


def misbehave(tokens):
    if 666 in tokens:
        raise RuntimeError("the kernel failed")
    if 668 in tokens:
        ctypes.string_at(0)
    if 669 in tokens:
        time.sleep(3600)
    if 670 in tokens:
        raise SystemExit(3)
    if 671 in tokens:
        time.sleep(0.05)


class OutputProcessor:
    def __init__(self):
        self.request_states = {}

    def process_outputs(self, ended):
        results = []
        for r, finished in ended:
            fields = r.params.fields
            final_only = fields["output_kind"] is RequestOutputKind.FINAL_ONLY
            if finished:
                self.request_states.pop(r.req_id, None)
            elif final_only:
                continue
            reason = "length" if finished else None
            tokens = r.output if final_only else r.output[-1:]
            logprobs = flat_logprobs(tokens, fields.get("logprobs"))
            results.append(
                Bag(
                    request_id=r.req_id,
                    outputs=[Bag(token_ids=tokens, finish_reason=reason, logprobs=logprobs)],
                    finished=finished,
                    metrics=r.stats,
                    num_cached_tokens=0,
                    prompt_logprobs=flat_logprobs([None, *r.tokens[1:]], fields.get("prompt_logprobs")),
                )
            )
        return results


def flat_logprobs(tokens, top):
    """The parts of vllm.logprobs.FlatLogprobs that are read. A token's logprob is
    its negative eighth; the likeliest are 0, 1, ... None is a place without any."""
    if top is None:
        return None
    flat = Bag(start_indices=[], end_indices=[], token_ids=[], logprobs=[])
    for token in tokens:
        flat.start_indices.append(len(flat.token_ids))
        if token is not None:
            flat.token_ids += [token, *range(top)]
        flat.end_indices.append(len(flat.token_ids))
    flat.logprobs = [-t / 8 for t in flat.token_ids]
    return flat


class Client:
    def __init__(self, scheduler, executor):
        self.engine_core = Bag(scheduler=scheduler, model_executor=executor)

    def get_output(self):
        core = self.engine_core
        so = core.scheduler.schedule()
        core.model_executor.execute_model(so)
        return core.scheduler.update_from_output(so, core.model_executor.sample_tokens(so))

    def abort_requests(self, ids):
        pass

    def shutdown(self):
        pass


def tokenizer(texts, add_special_tokens=True):
    """A token a byte, after one for the beginning unless asked to leave it out."""
    start = [0] if add_special_tokens else []
    return {"input_ids": [start + list(text.encode()) for text in texts]}


class LLMEngine:
    def __init__(self, args):
        self.tokenizer = None if args.get("skip_tokenizer_init") else tokenizer
        if args["model"].endswith("signals"):
            handlers.take()
        tokens, seqs = args.get("max_num_batched_tokens", 2048), args.get("max_num_seqs", 256)
        scheduler = Scheduler(tokens, seqs)
        sizes = args.get("compilation_config", {}).get("cudagraph_capture_sizes", [])
        self.engine_core = Client(scheduler, Executor(scheduler, sizes))
        self.output_processor, self.logger_manager = OutputProcessor(), None
        self.model_len = args.get("max_model_len", 4096)
        self.vllm_config = Bag(
            model_config=Bag(dtype="float32", max_model_len=self.model_len, get_vocab_size=lambda: VOCAB),
            cache_config=Bag(
                num_gpu_blocks=8, block_size=16, enable_prefix_caching=False, gpu_memory_utilization=0.92
            ),
            scheduler_config=Bag(max_num_seqs=seqs, max_num_batched_tokens=tokens, async_scheduling=False),
            compilation_config=Bag(
                cudagraph_mode=Bag(name="FULL" if sizes else "NONE"),
                max_cudagraph_capture_size=max(sizes, default=None),
            ),
        )

    @classmethod
    def from_engine_args(cls, args):
        return cls(args.args)

    def add_request(self, request_id, prompt, params, arrival_time=None):
        tokens = prompt["prompt_token_ids"]
        if 667 in tokens or len(tokens) + params.max_tokens > self.model_len:
            raise ValueError(f"request {request_id} cannot be served")
        r = Request(request_id, tokens, params, arrival_time)
        self.output_processor.request_states[request_id] = r
        self.engine_core.engine_core.scheduler.waiting.append(r)

    def abort_request(self, ids):
        scheduler = self.engine_core.engine_core.scheduler
        scheduler.waiting = [r for r in scheduler.waiting if r.req_id not in ids]
        scheduler.running = [r for r in scheduler.running if r.req_id not in ids]
        for i in ids:
            self.output_processor.request_states.pop(i, None)

    def step(self):
        results = self.output_processor.process_outputs(self.engine_core.get_output())
        self.engine_core.abort_requests([])
        return results
