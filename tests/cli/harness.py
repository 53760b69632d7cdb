"""Cases in TAP, and running the program that is tested."""

import json
import os
import subprocess
import sys
import tempfile
import traceback

TIMEOUT = 180


class Skip(Exception):
    """A case that cannot run here; its text says why."""


def long(case):
    """For cases that take minutes under a sanitizer and show nothing there that others do not."""
    def run(program):
        if os.environ.get("PREPACK_SANITIZED"):
            raise Skip("takes minutes under a sanitizer")
        case(program)
    run.__doc__, run.__name__ = case.__doc__, case.__name__
    return run


class Outcome:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err


class Program:
    """The program under test, with a folder of its own for files."""

    def __init__(self, paths, folder):
        self.path, self.gpu_module, self.nvml = (os.path.abspath(p) for p in paths)
        self.folder = folder

    def file(self, name, content):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as out:
            out.write(content if isinstance(content, bytes) else content.encode())
        return path

    def environment(self, changes=None):
        ours = ("PREPACK_DATA", "PREPACK_BACKEND_CUDA", "COLUMNS")
        env = {k: v for k, v in os.environ.items() if k not in ours}
        # meson adds the folders of all libraries of a test; this one is for those that ask for it.
        folders = env.get("LD_LIBRARY_PATH", "").split(":")
        env["LD_LIBRARY_PATH"] = ":".join(f for f in folders if f != os.path.dirname(self.nvml))
        return {**env, "LC_ALL": "C", **(changes or {})}

    def with_gpu(self, **more):
        """The environment in which --device cuda is the imaginary GPU."""
        return {"PREPACK_BACKEND_CUDA": self.gpu_module, **more}

    def run(self, *args, env=None, stdin=b"", text=True):
        words = [a if isinstance(a, bytes) else str(a) for a in args]
        done = subprocess.run([self.path, *words], input=stdin, timeout=TIMEOUT,
                              capture_output=True, env=self.environment(env), check=False)
        if text:
            return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())
        return Outcome(done.returncode, done.stdout, done.stderr)

    def works(self, *args, **more):
        """Runs, expects success and nothing on standard error; standard output."""
        done = self.run(*args, **more)
        assert done.status == 0, f"{args}: status {done.status}, {done.err}"
        assert done.err == "", f"{args}: said {done.err!r}"
        return done.out

    def json(self, *args, **more):
        """Runs with --json -; the JSON and the text."""
        done = self.run(*args, "--json", "-", **more)
        assert done.status == 0, f"{args}: status {done.status}, {done.err}"
        return json.loads(done.out), done.err

    def refuses(self, status, says, *args, **more):
        """Runs, expects one sentence on standard error that contains `says`."""
        done = self.run(*args, **more)
        assert done.status == status, f"{args}: status {done.status}, not {status}: {done.err}"
        assert done.out == "", f"{args}: wrote {done.out[:200]!r}"
        assert done.err.startswith("prepack: ") and done.err.count("\n") == 1, repr(done.err)
        assert says in done.err, f"{args}: {done.err!r} does not say {says!r}"


def run_cases(paths, cases):
    """paths: what Program takes; cases: functions that take a Program; their first doc line names them."""
    print(f"1..{len(cases)}")
    failed = 0
    for number, case in enumerate(cases, 1):
        name = (case.__doc__ or case.__name__).splitlines()[0]
        with tempfile.TemporaryDirectory() as folder:
            try:
                case(Program(paths, folder))
                print(f"ok {number} - {name}")
            except Skip as reason:
                print(f"ok {number} - {name} # SKIP {reason}")
            except Exception:  # every failure of a case is reported, then the next one runs
                failed += 1
                print(f"not ok {number} - {name}")
                for line in traceback.format_exc().splitlines():
                    print(f"# {line}")
        sys.stdout.flush()
    return 1 if failed else 0
