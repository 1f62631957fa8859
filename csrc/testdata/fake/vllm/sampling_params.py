import enum


class RequestOutputKind(enum.Enum):
    CUMULATIVE = 0
    DELTA = 1
    FINAL_ONLY = 2


class SamplingParams:
    def __init__(self, max_tokens, temperature=1.0, **fields):
        if max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, got {max_tokens}.")
        if (fields.get("logprobs") or 0) > 20:
            raise ValueError(f"Requested sample logprobs of {fields['logprobs']}, more than 20")
        self.max_tokens, self.temperature, self.fields = max_tokens, temperature, fields
