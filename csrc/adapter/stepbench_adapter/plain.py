"""The same engine, driven by a plain Python loop in the python executable: the
yardstick for what another host costs.

main() reads and writes one JSON value a line. The first line is the configuration,
answered by the engine's description. Each further line is a script (see
engine.Script) or {"Method": …, "Args": …}, answered by its steps and profiles or
by the method's reply.
"""

import json
import sys
from time import monotonic_ns, time

from .session import open_session


def main():
    answers = sys.stdout
    sys.stdout = sys.stderr  # vLLM may print; answers must stay clean
    session = open_session(sys.stdin.readline())
    answer(answers, json.loads(session.info))
    for line in sys.stdin:
        job = json.loads(line)
        try:
            if "Method" in job:
                reply = json.loads(session.call(job["Method"], json.dumps(job["Args"])))
            else:
                reply = play(session, job["Ops"])
            answer(answers, {"Reply": reply})
        except Exception as error:  # the parent names it and ends
            answer(answers, {"Error": f"{type(error).__name__}: {error}"})


def answer(out, value):
    out.write(json.dumps(value) + "\n")
    out.flush()


def play(session, ops):
    session.do_gc({"enabled": False, "collect": True})
    steps, profiles, flying = [], [], {}
    for index, op in enumerate(ops):
        submit(session, op["Submit"] or [], flying)
        if op["Profile"]:
            session.do_profile_start(None)
        first = len(steps)
        for _ in range(op["Steps"]):
            steps.append([index, *step(session, op["Limits"], flying)])
        if op["Profile"]:
            windows = [[s[1], s[2]] for s in steps[first:]]
            profile = session.do_profile_stop({"windows": windows, "events": op["Events"]})
            profiles.append({**profile, "op": index, "steps": len(windows)})
        if op["Abort"] and flying:
            session.do_abort(list(flying))
            flying.clear()
        if op["Collect"]:
            session.do_gc({"enabled": False, "collect": True})
    session.do_gc({"enabled": True, "collect": False})
    return {"Steps": steps, "Profiles": profiles}


def submit(session, requests, flying):
    for r in requests:
        (params,) = session.params(json.dumps([r["Sampling"]]))
        session.submit(r["ID"], r["Prompt"], params, time())
        flying[r["ID"]] = r["Sampling"]["max_tokens"]


def step(session, limits, flying):
    """[call_ns, return_ns, outputs, counters…] of one step."""
    cells = session.counters
    for i in range(len(cells)):
        cells[i] = 0
    session.set_limits(limits["Tokens"], limits["Seqs"])
    call = monotonic_ns()
    outputs = session.step()
    returned = monotonic_ns()
    session.after()
    for output in outputs:
        if output.finished:
            flying.pop(int(output.request_id), None)
    return [call, returned, len(outputs), *cells]
