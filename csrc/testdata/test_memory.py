"""What a rank says of its memory."""

import unittest
from types import SimpleNamespace as Bag

from stepbench_adapter import memory


class Storage:
    def __init__(self, place, size):
        self.place, self.size = place, size

    def untyped_storage(self):
        return Bag(data_ptr=lambda: self.place, nbytes=lambda: self.size)


def model(parameters, buffers=()):
    return Bag(parameters=lambda: iter(parameters), buffers=lambda: iter(buffers))


class Memory(unittest.TestCase):
    def test_vllms_figures_by_our_names(self):
        tied = Storage(1, 100)
        runner = Bag(
            model_memory_usage=150.0,
            get_model=lambda: model([tied, tied, Storage(2, 30)], [Storage(3, 4)]),
            kv_cache_config=Bag(kv_cache_tensors=[Bag(size=7), Bag(size=8)]),
        )
        worker = Bag(
            model_runner=runner,
            init_snapshot=Bag(total_memory=1000, free_memory=990),
            requested_memory=920,
            peak_activation_memory=11,
            non_torch_memory=12,
            cudagraph_memory_estimate=0,
            available_kv_cache_memory_bytes=600,
            device=Bag(type="cpu"),
        )
        self.assertEqual(
            memory.of(worker),
            {
                "total_bytes": 1000,
                "free_at_start_bytes": 990,
                "requested_bytes": 920,
                "weights_bytes": 150,
                "parameter_bytes": 134,
                "peak_activation_bytes": 11,
                "non_torch_bytes": 12,
                "available_kv_bytes": 600,
                "kv_cache_bytes": 15,
            },
        )

    def test_what_vllm_does_not_keep_is_left_out(self):
        self.assertEqual(memory.of(None), {})
        self.assertEqual(memory.of(Bag(model_runner=Bag(), device=Bag(type="cpu"))), {})


if __name__ == "__main__":
    unittest.main()
