"""Devices, memory and dry runs; --device cuda where there is no GPU, and on an imaginary one."""

import ctypes
import os
import shutil
import subprocess
import sys

from harness import Skip, long
from model_cases import METHODS
from plan_cases import demo_tokenizer

DRY_RUN_KEYS = ["model", "dataset", "metric", "device", "device_name", "attention", "dtype", "weights",
                "threads", "batch_size", "weight_bytes", "workspace_bytes",
                "max_pass_tokens", "page_tokens", "page_bytes", "memory_limit", "fits", "methods"]
NEEDS_KEYS = ["method", "batches", "tokens_real", "tokens_computed", "passes", "tokens_per_batch",
              "passes_per_batch", "kv_bytes", "device_bytes", "host_bytes"]


def lengths_file(program):
    """Prompts among which some are longer than the passes of the CPU backend."""
    lengths = [1 + i * i * 17 % 233 for i in range(60)] + [1900, 2, 1600, 1536, 1537]
    return program.file("a.lengths", "".join(f"{n}\n" for n in lengths)), lengths


def common(path):
    return ["profile", "--model", "tiny", "--dataset", path, "--batch-size", 24, "--threads", 2,
            "--methods", ",".join(METHODS)]


@long
def dry_run_is_the_run(program):
    """a dry run foretells passes, tokens and memory of the run"""
    path, lengths = lengths_file(program)
    for more in ([], ["--policy", "arrival", "--capacity", 2000], ["--metric", "ttft"]):
        args = common(path) + more
        dry, text = program.json(*args, "--dry-run")
        assert list(dry) == DRY_RUN_KEYS, list(dry)
        real, _ = program.json(*args, "--num-runs", 1)
        assert [m["method"] for m in dry["methods"]] == METHODS
        for guess, run in zip(dry["methods"], real["methods"]):
            assert list(guess) == NEEDS_KEYS, list(guess)
            for key in ("method", "tokens_real", "tokens_computed", "passes"):
                assert guess[key] == run[key], (key, guess, run)
            assert guess["tokens_real"] == sum(lengths)
            assert guess["batches"] == 3 and guess["host_bytes"] == 0
            assert round(guess["tokens_per_batch"]["mean"] * 3) == guess["tokens_computed"]
            assert guess["passes_per_batch"]["max"] >= guess["passes"] / 3
            assert guess["kv_bytes"] > 0 and guess["kv_bytes"] % dry["page_bytes"] == 0
            # pages are taken from the device in blocks of up to 16 MiB
            assert run["peak_session_bytes"] <= guess["device_bytes"] + (16 << 20)
            assert f"{guess['device_bytes'] / 1e6:.1f}" in text
        assert dry["memory_limit"] is None and dry["fits"] is None
        assert "nothing was loaded or run" in text and "speed-up" not in text
        needed = max(m["device_bytes"] for m in dry["methods"])
        limited, _ = program.json(*args, "--num-runs", 1, "--memory-limit", needed)
        for run in limited["methods"]:
            assert run["peak_session_bytes"] <= needed


def kv_bytes_by_hand(program):
    """the KV caches of a dry run are those that a hand counts"""
    path = program.file("b.lengths", "1\n16\n17\n33\n")
    dry, _ = program.json("profile", "--model", "tiny", "--dataset", path, "--dry-run",
                          "--methods", "prepacking,full-batching")
    assert dry["page_tokens"] == 16
    packed, padded = dry["methods"]
    assert packed["kv_bytes"] == (1 + 1 + 2 + 3) * dry["page_bytes"]
    assert padded["kv_bytes"] == 4 * 3 * dry["page_bytes"]
    assert (packed["passes"], padded["tokens_computed"]) == (1, 4 * 33)


def dry_run_and_limit(program):
    """a dry run compares with --memory-limit in one sentence"""
    path, _ = lengths_file(program)
    args = common(path) + ["--dry-run"]
    dry, text = program.json(*args, "--memory-limit", "1.5GB")
    assert dry["memory_limit"] == 1500000000 and dry["fits"] is True
    needed = max(m["device_bytes"] for m in dry["methods"])
    assert f"1500.0 MB are enough: full-batching needs most, {needed / 1e6:.1f} MB" in text
    assert program.json(*args, "--memory-limit", needed)[0]["fits"] is True
    done = program.run(*args, "--memory-limit", needed - 1)
    assert done.status == 1 and "tokens/batch" in done.out, done.err
    assert done.err.count("\n") == 1 and "full-batching needs" in done.err, done.err
    dry, _ = program.json(*args, "--memory-limit", "1GiB")
    assert dry["memory_limit"] == 1 << 30
    program.refuses(1, "needs", *args[:-1], "--memory-limit", "1MB")


def dry_run_of_a_large_model(program):
    """a dry run of a model that fits nowhere here is quick"""
    dry, _ = program.json("profile", "--model", "llama2-13b", "--dataset", "mmlu", "--dry-run")
    assert dry["weight_bytes"] > 13e9 and dry["methods"][1]["kv_bytes"] > 1e10


def no_gpu(program):
    """--device cuda without a driver is refused with what is missing"""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        pass
    else:
        raise Skip("there is a driver here")
    path = program.file("a.lengths", "3\n4\n")
    for more in ([], ["--dry-run"]):
        for device in ("cuda", "cuda:1"):
            program.refuses(1, "NVIDIA driver", "profile", "--model", "tiny", "--dataset", path,
                            "--device", device, *more)
    program.refuses(1, "devices here: cpu", "profile", "--model", "tiny", "--dataset", path, "--device",
                    "abacus")
    demo_tokenizer(program)
    program.refuses(1, "NVIDIA driver", "generate", "--model", "demo", "-p", "a", "--device",
                    "cuda")


def imaginary_gpu(program):
    """the report of a GPU names it, its attention and its memory"""
    path, _ = lengths_file(program)
    args = common(path) + ["--device", "cuda", "--dtype", "bf16"]
    env = program.with_gpu()
    dry, text = program.json(*args, "--dry-run", env=env)
    report, full = program.json(*args, "--num-runs", 1, env=env)
    for found in (dry, report):
        assert found["device"] == "cuda:0" and found["device_name"] == "Imaginary GPU"
        assert found["attention"] == "thought" and found["dtype"] == "bf16"
    for words in (text, full):
        assert "cuda:0 (Imaginary GPU), bf16, attention by thought" in words, words
    assert "host MB" in text
    for guess, run in zip(dry["methods"], report["methods"]):
        assert run["peak_memory_mb"] * 1e6 == run["peak_session_bytes"]
        assert run["peak_host_bytes"] > 1e6
        assert dry["weight_bytes"] + dry["workspace_bytes"] < run["peak_session_bytes"]
        assert run["peak_session_bytes"] <= guess["device_bytes"] + (16 << 20)
        assert guess["host_bytes"] > 0
    needed = max(m["device_bytes"] for m in dry["methods"])
    limited, _ = program.json(*args, "--num-runs", 1, "--memory-limit", needed, env=env)
    for run in limited["methods"]:
        assert run["peak_session_bytes"] <= needed
    least = dry["weight_bytes"] + dry["workspace_bytes"]
    program.refuses(1, "more KV pages", *args, "--memory-limit", least + (3 << 20), env=env)
    demo_tokenizer(program)
    text = program.works("generate", "--model", "demo", "-p", "3 + 4 =", "--device", "cuda",
                         env=env)
    assert "on cuda:0 (Imaginary GPU), " in text and "MB of its memory" in text, text


def gpu_run(program, lengths, nvml, **env):
    """A run on the imaginary GPU; nvml: the folder that NVML is in, or None."""
    args = ["profile", "--model", "tiny", "--dataset", lengths, "--device", "cuda", "--num-runs",
            2, "--methods", "prepacking,full-batching", "--dtype", "bf16"]
    if nvml:
        env["LD_LIBRARY_PATH"] = nvml + ":" + os.environ.get("LD_LIBRARY_PATH", "")
    return program.json(*args, env=program.with_gpu(**env))


def utilization_by_nvml(program):
    """the utilisation of a GPU is what NVML says"""
    path = program.file("a.lengths", "200\n" * 100)
    report, text = gpu_run(program, path, os.path.dirname(program.nvml))
    for method in report["methods"]:
        gpu, memory = method["utilization_percent"], method["gpu_memory_utilization_percent"]
        assert list(gpu) == list(memory) == ["max", "mean", "max_std", "mean_std"]
        assert 20 <= gpu["mean"] <= gpu["max"] <= 80 and gpu["max"] > 20
        assert memory == {"max": 10, "mean": 10, "max_std": 0, "mean_std": 0}
        assert method["gpu_memory_used_bytes"] == 5000000000
    assert "n/a" not in text and "5000.0" in text and "max mem util %" in text, text


def nvml_in_trouble(program):
    """without a working NVML the columns say so, and why"""
    path = program.file("a.lengths", "200\n" * 20)
    nvml = os.path.dirname(program.nvml)
    broken = [(nvml, "nvmlInit_v2", "nvmlInit: Driver Not Loaded"),
              (nvml, "nvmlDeviceGetHandleByPciBusId_v2", "ByPciBusId: Not Found"),
              (nvml, "nvmlDeviceGetUtilizationRates", "UtilizationRates: Driver Not Loaded"),
              (nvml, "nvmlDeviceGetMemoryInfo:2", "MemoryInfo: Driver Not Loaded")]
    os.makedirs(program.folder + "/other")
    shutil.copy(program.gpu_module, program.folder + "/other/libnvidia-ml.so.1")
    broken.append((program.folder + "/other", "", "has not all that is needed"))
    program.file("text/libnvidia-ml.so.1", "no library\n")
    missing = [(program.folder + "/text", "", "libnvidia-ml.so.1: ")]
    # A process of its own, which does not find the fake and need not bear its sanitizer.
    real = subprocess.run([sys.executable, "-c", "import ctypes; ctypes.CDLL('libnvidia-ml.so.1')"],
                          env={"PATH": os.environ["PATH"]}, capture_output=True, check=False)
    if real.returncode != 0:
        missing.append((None, "", "libnvidia-ml.so.1: cannot open"))
    for cases, cell in ((broken, "n/a (NVML error)"), (missing, "n/a (no NVML)")):
        for folder, fails, says in cases:
            report, text = gpu_run(program, path, folder, FAKE_NVML=fails)
            for method in report["methods"]:
                assert method["seconds"]["mean"] > 0
                assert method["utilization_percent"] is None, (fails, method)
                assert method["gpu_memory_utilization_percent"] is None
                assert method["gpu_memory_used_bytes"] is None
            assert text.count(cell) == 10 and says in text, (fails, text)


CASES = [utilization_by_nvml, nvml_in_trouble, dry_run_is_the_run, kv_bytes_by_hand,
         dry_run_and_limit, dry_run_of_a_large_model, no_gpu, imaginary_gpu]
