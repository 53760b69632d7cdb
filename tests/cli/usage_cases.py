"""Help, wrong command lines and the program's manners."""

import os
import signal
import subprocess
import time

from harness import Skip, TIMEOUT
from plan_cases import demo_tokenizer


COMMANDS = ("profile", "generate", "prefill", "score", "embed", "plan", "bench", "tune", "convert")


def help_and_version(program):
    """help and version go to standard output with status 0"""
    general = program.works("--help")
    for name in ("llama", "exaone4", "gemma3_text", "llama2-13b", "gemma3-1b"):
        assert name in general, name
    assert program.works("help") == general and program.works("-h") == general
    for command in COMMANDS:
        assert f"prepack {command}" in general
        text = program.works("help", command)
        assert text.startswith(f"usage: prepack {command}")
        assert program.works(command, "--help") == text
        assert "--json" in text or command == "convert"
    assert all(len(line) <= 100 for line in general.splitlines())
    assert program.works("--version").startswith("prepack ")


def help_knows_every_option(program):
    """every option that the help of a command names is taken by it"""
    for command in COMMANDS:
        names = {w.strip("=,;.:()").split("|")[0]
                 for w in program.works("help", command).split() if w.startswith("--")}
        for name in sorted(names - {"--help"}):
            # The first unknown word may be the option's value, the second ends the line's reading:
            # the command itself does not start.
            done = program.run(command, name, "--frobnicate", "--frobnicate")
            assert done.status == 2, f"{command} {name}: status {done.status}"
            assert f"does not know '{name}'" not in done.err, f"{command} {name}: {done.err}"


def wrong_command_lines(program):
    """a wrong command line gives one sentence and status 2"""
    lengths = program.file("a.lengths", "3\n4\n")
    plan = ["plan", "--dataset", lengths]
    wrong = [
        (["nothing"], "no command 'nothing'"),
        (["help", "nothing"], "no command 'nothing'"),
        (["plan"], "--dataset"),
        (plan + ["--frobnicate"], "'--frobnicate'"),
        (plan + ["-x"], "'-x'"),
        (plan + ["--batch-size"], "'--batch-size' needs a value"),
        (plan + ["--draw=5"], "'--draw=5'"),
        (plan + ["more"], "'more'"),
        (plan + ["--batch-size", "abc"], "from 0 to"),
        (plan + ["--batch-size", "-1"], "from 0 to"),
        (plan + ["--batch-size", "5e3"], "from 0 to"),
        (plan + ["--batch-size", "99999999999999999999"], "from 0 to"),
        (plan + ["--batch-size", ""], "from 0 to"),
        (plan + ["--capacity", "0"], "from 1 to"),
        (plan + ["--policy", "worst-fit"], "ffd, bfd, arrival"),
        (plan + ["--seed", "-3"], "from 0 to"),
        (plan + ["--field", "x"], "JSON, CSV and TSV"),
        (plan + ["--num-runs", "2"], "'--num-runs'"),
        (plan + ["--predict"], "--predict needs --model"),
        (plan + ["--threads", "2"], "need --predict"),
        (plan + ["--memory-limit", "1GB"], "need --predict"),
        (plan + ["--device", "cuda"], "need --predict"),
        (["tune"], "tune needs --model"),
        (["tune", "--model", "tiny", "--seconds", "0"], "from 0.001 to"),
        (["tune", "--model", "tiny", "--seconds", "nan"], "from 0.001 to"),
        (["tune", "--model", "tiny", "--max-tokens", "63"], "from 64 to"),
        (["tune", "--model", "tiny", "--cost", "x"], "'--cost'"),
        (["profile", "--dataset", lengths], "--model"),
        (["profile", "--methods", "prepacking,magic"], "'magic'"),
        (["profile", "--methods", "prepacking,prepacking"], "twice"),
        (["profile", "--methods", ""], "knows only"),
        (["profile", "--metric", "latency"], "prefill, ttft"),
        (["profile", "--per", "token"], "batch, prompt"),
        (["profile", "--dtype", "int8"], "auto, f32, bf16, f16"),
        (["profile", "--memory-limit", "much"], "KiB"),
        (["profile", "--memory-limit", "0"], "KiB"),
        (["profile", "--memory-limit", "-1GB"], "KiB"),
        (["profile", "--memory-limit", "nan"], "KiB"),
        (["profile", "--memory-limit", "6 GB"], "KiB"),
        (["profile", "--memory-limit", "99999999TB"], "KiB"),
        (["generate", "--model", "demo", "-p", "a", "--dry-run"], "'--dry-run'"),
        (["profile", "--num-runs", "0"], "from 1 to"),
        (["profile", "--threads", "0"], "from 1 to"),
        (["profile", "--batch-size", "0"], "from 1 to"),
        (["bench"], "gemm, attention, rows or all"),
        (["bench", "everything"], "gemm, attention, rows or all"),
        (["bench", "rows", "gemm"], "'gemm'"),
        (["bench", "rows", "--rows", "1,,2"], "with commas"),
        (["bench", "rows", "--rows", "1,2,"], "with commas"),
        (["bench", "rows", "--rows", "0"], "from 1 to"),
        (["bench", "rows", "--rows", "1-5"], "with commas"),
        (["bench", "rows", "--rows", ",".join("9" * 33)], "up to 32"),
        (["bench", "attention", "--lengths", "9-5"], "100-500"),
        (["bench", "attention", "--lengths", "5-"], "100-500"),
        (["bench", "attention", "--lengths", "-5"], "100-500"),
        (["bench", "attention", "--lengths", "99999999999999999999"], "100-500"),
        (["bench", "gemm", "--num-runs", "100"], "from 1 to 99"),
        (["bench", "gemm", "--capacity", "100"], "'--capacity'"),
        (["generate"], "--model"),
        (["generate", "--model", "demo"], "-p TEXT"),
        (["generate", "--model", "demo", "-p", "a", "--prompts", "b"], "one of -p, --prompts and --ids"),
        (["generate", "--model", "demo", "-p", "a", "--temperature", "-1"], "from 0 to"),
        (["generate", "--model", "demo", "-p", "a", "--temperature", "nan"], "from 0 to"),
        (["generate", "--model", "demo", "-p", "a", "--top-p", "0"], "above 0"),
        (["generate", "--model", "demo", "-p", "a", "--top-k", "-1"], "from 0 to"),
        (["generate", "--model", "demo", "-p", "a", "--min-p", "1.5"], "from 0 to 1"),
        (["generate", "--model", "demo", "-p", b"\xff\xfe"], "UTF-8"),
        (["generate", "--model", "demo", "--prompts", lengths], "token counts"),
    ]
    for args, says in wrong:
        done = subprocess.run([program.path, *args], capture_output=True, timeout=TIMEOUT,
                              env=program.environment(), check=False)
        err = done.stderr.decode()
        assert done.returncode == 2, f"{args}: status {done.returncode}: {err}"
        assert done.stdout == b"", args
        assert err.startswith("prepack: ") and err.count("\n") == 1, f"{args}: {err!r}"
        assert says in err, f"{args}: {err!r} does not say {says!r}"


def no_command(program):
    """without a command the help goes to standard error, status 2"""
    done = program.run()
    assert done.status == 2 and done.out == ""
    assert "usage:" in done.err and done.err.endswith("prepack: a command is missing\n")


def failures(program):
    """what cannot be done gives one sentence and status 1"""
    lengths = program.file("a.lengths", "3\n4\n")
    prompts = program.file("a.txt", "hello\n")
    cases = [
        ("no data set", ["plan", "--dataset", "nosuchset"]),
        ("could not be opened", ["plan", "--dataset", "./no/such/file.lengths"]),
        ("is a directory", ["plan", "--dataset", program.folder + "/"]),
        ("3", ["plan", "--dataset", lengths, "--capacity", "3"]),
        ("--model also takes", ["profile", "--model", "nosuch", "--dataset", lengths]),
        ("without tokenizer", ["profile", "--model", "tiny", "--dataset", prompts]),
        ("config.json", ["profile", "--model", program.folder, "--dataset", lengths]),
        ("tokenizer.model", ["plan", "--model", os.path.dirname(program.file("m/config.json", "{}")),
                             "--dataset", prompts]),
        ("f16", ["profile", "--model", "tiny", "--dataset", lengths, "--dtype", "f16"]),
        ("for writing", ["plan", "--dataset", lengths, "--json", "/no/such/folder/x.json"]),
        ("at most", ["profile", "--model", "tiny", "--dataset",
                     program.file("b.lengths", "1000000\n")]),
    ]
    for says, args in cases:
        program.refuses(1, says, *args)


def full_device(program):
    """a standard output that cannot be written is a failure"""
    if not os.path.exists("/dev/full"):
        raise Skip("no /dev/full")
    for args in (["help"], ["plan", "--dataset", program.file("a.lengths", "3\n"), "--json", "-"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([program.path, *args], stdout=full, stderr=subprocess.PIPE,
                                  timeout=TIMEOUT, env=program.environment(), check=False)
        assert done.returncode == 1, args
        assert b"could not be written" in done.stderr, args


def data_folder(program):
    """PREPACK_DATA says where the data sets are"""
    folder = os.path.join(program.folder, "data")
    program.file("data/lengths/mmlu.txt", "7\n7\n7\n")
    figures, _ = program.json("plan", "--dataset", "mmlu", env={"PREPACK_DATA": folder})
    assert (figures["prompts"], figures["tokens"]) == (3, 21)
    program.refuses(1, "PREPACK_DATA", "plan", "--dataset", "samsum",
                    env={"PREPACK_DATA": folder})


def interrupted(program, *args):
    """Whether one Ctrl-C after a second ends a run at once with one sentence."""
    with subprocess.Popen([program.path, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=program.environment()) as child:
        time.sleep(1)
        assert child.poll() is None, "the run was over before it could be interrupted"
        child.send_signal(signal.SIGINT)
        start = time.monotonic()
        out, err = child.communicate(timeout=TIMEOUT)
    assert child.returncode == 130, child.returncode
    assert out == b"" and err == b"prepack: interrupted\n", err
    assert time.monotonic() - start < 20


def interrupt(program):
    """Ctrl-C ends a run with one sentence and status 130, also between calls of the library"""
    lengths = program.file("many.lengths", "200\n" * 2048)
    interrupted(program, "profile", "--model", "tiny", "--dataset", lengths, "--num-runs", "1000")
    interrupted(program, "tune", "--model", "tiny", "--seconds", "600", "--max-tokens", "100000")
    interrupted(program, "bench", "rows", "--model", "llama1b", "--num-runs", "99", "--rows",
                ",".join(str(n) for n in range(1, 33)))
    demo_tokenizer(program)
    prompts = program.file("many.txt", "One\n" * 100000)
    interrupted(program, "generate", "--model", "demo", "--prompts", prompts, "--batch-size", "1",
                "--max-new-tokens", "200")


CASES = [help_and_version, help_knows_every_option, wrong_command_lines, no_command, failures,
         full_device, data_folder, interrupt]
