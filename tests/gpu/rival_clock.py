"""Time on a device, and figures in the format that run.sh collects."""
import statistics
import time

import torch


def figure(key, value):
    print(f"figure {key} {value:.6g}", flush=True)


def synchronize(device):
    if device == "cuda":
        torch.cuda.synchronize()


def once(device, work, calls=1):
    """Seconds of one of `calls` calls in a row, by the device's own clock where it has one."""
    if device != "cuda":
        began = time.perf_counter()
        for _ in range(calls):
            work()
        return (time.perf_counter() - began) / calls
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(calls):
        work()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) * 1e-3 / calls


def median_seconds(device, work, repeats):
    """After a warm-up; short work is called several times in a row."""
    work()
    synchronize(device)
    single = once(device, work)
    calls = max(1, min(200, int(1e-3 / max(single, 1e-7))))
    return statistics.median(once(device, work, calls) for _ in range(repeats))
