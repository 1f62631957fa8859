"""A stand-in for vLLM with the names that the adapter uses, for unit tests of the
shim and of the Go side. It schedules by the same rules (running first, token and
sequence budgets, chunked prefill) and computes tokens by arithmetic. Real vLLM
is driven by the integration tests.

Prompt tokens that make it misbehave:
  666  RuntimeError in step      667  ValueError in add_request
  668  SIGSEGV in step           669  step never returns
  670  step raises SystemExit    671  step sleeps 50 ms
"""

__version__ = "0.26.0-fake"
