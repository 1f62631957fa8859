"""What the device reaches at most: a large copy and a large matrix product, each
the best of several, since a ceiling is what can be reached."""

import time

REPEATS = 10


def measure(platform, dtype):
    import torch

    cuda = platform == "cuda"
    kind = getattr(torch, dtype)
    copy_bytes = (4 << 30) if cuda else (256 << 20)
    size = 8192 if cuda else 1024
    source = torch.ones(copy_bytes // 2, dtype=torch.int16, device=platform)
    target = torch.empty_like(source)
    copy_s = best(lambda: target.copy_(source), cuda)
    a = torch.randn(size, size, device=platform).to(kind)
    b = torch.randn(size, size, device=platform).to(kind)
    matmul_s = best(lambda: torch.mm(a, b), cuda)
    return {
        "copy_bytes_per_s": 2 * copy_bytes / copy_s,  # read and written
        "matmul_flop_per_s": 2 * size**3 / matmul_s,
    }


def best(work, cuda):
    import torch

    times = []
    for _ in range(REPEATS):
        if cuda:
            torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        if cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times)
