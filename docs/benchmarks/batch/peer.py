"""vLLM's own ways to answer a file of requests, behind a gate.

python peer.py run-batch SIGNALS INPUT OUTPUT TEMPLATE ENGINE_ARGS_JSON
python peer.py chat      SIGNALS INPUT OUTPUT TEMPLATE ENGINE_ARGS_JSON

Each opens its engine, makes the file ready in the folder SIGNALS and waits for the
file gate there. Then it reads INPUT, answers it, writes OUTPUT, and makes the file
done. TEMPLATE is a chat template's file, or empty for the model's own.
"""

import asyncio
import json
import pathlib
import sys
import time

POLL_S = 0.002


def run_batch(signals, source, target, template, engine):
    """`vllm run-batch`, of which only the reading and the writing of the files are
    wrapped: the one waits, the other says when it is done."""
    from vllm.entrypoints.openai import run_batch as vllm
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    read, write = vllm.read_file, vllm.write_file

    async def gated_read(path):
        (signals / "ready").touch()
        while not (signals / "gate").exists():
            await asyncio.sleep(POLL_S)
        return await read(path)

    async def noted_write(*args):
        await write(*args)
        (signals / "done").touch()

    vllm.read_file, vllm.write_file = gated_read, noted_write
    command = ["--input-file", source, "--output-file", target, "--served-model-name", "model"]
    if template:
        command += ["--chat-template", template]
    for name, value in engine.items():
        flag = name.replace("_", "-")
        command += (
            [f"--{'' if value else 'no-'}{flag}"] if isinstance(value, bool) else [f"--{flag}", str(value)]
        )
    args = vllm.make_arg_parser(FlexibleArgumentParser()).parse_args(command)
    asyncio.run(vllm.main(args))


def chat(signals, source, target, template, engine):
    """`LLM.chat` with all requests in one call, as in vLLM's examples."""
    from vllm import LLM, SamplingParams

    llm = LLM(**engine)
    template = pathlib.Path(template).read_text() if template else None
    (signals / "ready").touch()
    while not (signals / "gate").exists():
        time.sleep(POLL_S)
    with open(source) as f:
        rows = [json.loads(line) for line in f]
    params = [
        SamplingParams(**{name: row["body"][name] for name in ("max_tokens", "temperature", "ignore_eos")})
        for row in rows
    ]
    answers = llm.chat(
        [row["body"]["messages"] for row in rows], params, use_tqdm=False, chat_template=template
    )
    with open(target, "w") as f:
        for row, answer in zip(rows, answers, strict=True):
            usage = {
                "prompt_tokens": len(answer.prompt_token_ids),
                "completion_tokens": len(answer.outputs[0].token_ids),
            }
            message = {"message": {"role": "assistant", "content": answer.outputs[0].text}}
            response = {"body": {"choices": [message], "usage": usage}}
            print(json.dumps({"custom_id": row["custom_id"], "response": response}), file=f)
    (signals / "done").touch()


if __name__ == "__main__":
    way, folder, *files, args_json = sys.argv[1:]
    {"run-batch": run_batch, "chat": chat}[way](pathlib.Path(folder), *files, json.loads(args_json))
