from types import SimpleNamespace


def compute_iteration_details(so):
    new = {r.req_id for r in so.scheduled_new_reqs}
    outputs = dict(zip(so.scheduled_cached_reqs.req_ids, so.scheduled_cached_reqs.num_output_tokens))
    ctx = {i: n for i, n in so.num_scheduled_tokens.items() if i in new or outputs.get(i) == 0}
    gen = {i: n for i, n in so.num_scheduled_tokens.items() if i not in ctx}
    return SimpleNamespace(
        num_ctx_requests=len(ctx),
        num_ctx_tokens=sum(ctx.values()),
        num_generation_requests=len(gen),
        num_generation_tokens=sum(gen.values()),
    )
