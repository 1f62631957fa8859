"""A logits processor for real vLLM that fails in its third step."""

from vllm.v1.sample.logits_processor import LogitsProcessor


class Faulty(LogitsProcessor):
    def __init__(self, vllm_config, device, is_pin_memory):
        self.steps = 0

    def is_argmax_invariant(self):
        return False

    def update_state(self, batch_update):
        self.steps += 1

    def apply(self, logits):
        if self.steps > 12:
            raise RuntimeError("the sampler broke")
        return logits
