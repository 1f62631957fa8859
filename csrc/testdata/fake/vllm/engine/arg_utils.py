class EngineArgs:
    def __init__(self, **args):
        self.args = args
        if args["model"].endswith("unknown"):
            raise OSError(f"{args['model']} is not a local folder and is not a model identifier")
        if args["model"].endswith("oom"):
            raise MemoryError("cannot allocate the KV cache")
