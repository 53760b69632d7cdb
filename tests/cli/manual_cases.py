"""Man pages and completions, which the program prints: that they know every command and option, that
their languages are right, and what the shells make of them."""

import os
import re
import shutil
import subprocess

from harness import Skip, TIMEOUT

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")


HELPS = {}


def help_of(program, *words):
    """What `prepack help WORDS` prints; it is asked once."""
    if words not in HELPS:
        HELPS[words] = program.works("help", *words)
    return HELPS[words]


def command_names(program):
    names = re.findall(r"^  prepack ([a-z]+) ", help_of(program), re.M)
    general = {"profile", "generate"}  # also named in the lines of a first look
    assert general < set(names) and len(names) > 10, names
    return sorted(set(names))


def options_of(program, command):
    """{"model": the lines of its help} as `prepack help COMMAND` shows them."""
    parts = re.split(r"^  (?:-\w, )?--([a-z-]+)", help_of(program, command), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def everything_is_in(program):
    """every command and option of the help is in the man pages and completions"""
    names = command_names(program)
    overview = program.works("help", "--man")
    scripts = {shell: program.works("completion", shell) for shell in ("bash", "zsh", "fish")}
    for command in names:
        assert f".BR prepack\\-{command} (1)" in overview, command
        page = program.works("help", "--man", command)
        in_bash = re.search(rf"^    {command}\) options='(.*?)'", scripts["bash"], re.M)[1].split()
        in_zsh = re.search(rf"^    {command}\)\n(.*?)^      \) ;;", scripts["zsh"], re.M | re.S)[1]
        assert f"-n __prepack_needs_command -a {command} " in scripts["fish"], command
        for option in options_of(program, command):
            typed = option.replace("-", "\\-")
            assert f"\n\\fB\\-\\-{typed}\\fR" in page or f", \\fB\\-\\-{typed}\\fR" in page, (command, option)
            assert f"--{option}" in in_bash, (command, option)
            assert re.search(rf"'\*?--{option}[=\[]", in_zsh), (command, option)
            assert re.search(rf"^complete -c prepack -n '__prepack_runs {command}'.* -l {option} ",
                             scripts["fish"], re.M), (command, option)
    assert len(options_of(program, "profile")) > 20


def words_hold(program):
    """what a completion offers for a value is in the option's help, and data sets are there"""
    script = program.works("completion", "bash")
    offered = re.findall(r"^    '([a-z]+) --([a-z-]+)'.*? words='(.+)' ;;", script, re.M)
    for command, option, words in offered:
        text = options_of(program, command)[option]
        for word in words.split():
            assert re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text) or word.endswith(":"), \
                (command, option, word)
    sets = next(words for command, option, words in offered if (command, option) == ("plan", "dataset"))
    for name in sets.split():
        program.works("plan", "--dataset", name)


def readme_examples(program):
    """the README's examples are those of the help"""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        lines = re.findall(r"^    ((?:echo .*\| )?prepack (\w+).*)$", file.read(), re.M)
    assert len(lines) > 10
    for line, command in lines:
        typed = line.split(" # ")[0].strip()
        assert f"\n  {typed}\n" in help_of(program, command), typed


def pages(program):
    """(name, source) of each page, on a fixed day."""
    for command in [None, *command_names(program)]:
        words = ["help", "--man"] + ([command] if command else [])
        yield command or "prepack", program.works(*words, env={"SOURCE_DATE_EPOCH": "86400"})


def man_pages_are_clean(program):
    """man and mandoc have nothing to say about a page"""
    checks = []
    if shutil.which("man") and shutil.which("groff"):
        checks.append(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"])
    if shutil.which("mandoc"):
        checks.append(["mandoc", "-Tlint", "-Wwarning"])
    if not checks:
        raise Skip("neither man with groff nor mandoc is here")
    for name, source in pages(program):
        path = program.file(f"{name}.1", source)
        assert source.startswith(".TH PREPACK") and " 1970-01-02 " in source.splitlines()[0], source[:80]
        for check in checks:
            done = subprocess.run([*check, path], capture_output=True, text=True, timeout=TIMEOUT,
                                  env=program.environment({"LC_ALL": "C.UTF-8", "MANWIDTH": "80"}),
                                  check=False)
            said = done.stderr + (done.stdout if check[0] == "mandoc" else "")
            assert done.returncode == 0 and said == "", f"{name}: {said}"


def dashes_can_be_typed(program):
    """no dash of a man page is a hyphen, no line a request by accident"""
    for name, source in pages(program):
        assert source.isascii(), name
        for line in source.splitlines()[1:]:
            assert not re.search(r"(?<!\\)-", line), f"{name}: {line}"
            assert not line.startswith("'"), f"{name}: {line}"
            assert not line.startswith(".") or re.match(r"\.(nh|ad l|SH|SS|TP|PP|IP|RS|RE|nf|fi|br|B|I|BR)\b", line), \
                f"{name}: {line}"


FAKE_SHELL = """
compopt() { echo "compopt $*"; }
source "$1"
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_prepack
printf '%s\\n' "${COMPREPLY[@]}"
"""


def in_bash(program, script, *words):
    """What bash offers for the last word; words as readline cuts them, at = and : too."""
    done = subprocess.run(["bash", "--norc", "-c", FAKE_SHELL, "bash", script, "prepack", *words],
                          capture_output=True, text=True, timeout=TIMEOUT, cwd=program.folder,
                          env=program.environment(), check=False)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return [line for line in done.stdout.splitlines() if line]


def bash_completes(program):
    """bash completes commands, options, values and files"""
    if not shutil.which("bash"):
        raise Skip("no bash here")
    script = program.file("completion.bash", program.works("completion", "bash"))
    program.file("data/x.jsonl", "")
    program.file("demonstration.txt", "")
    cases = [
        (["pro"], ["profile"]),
        ([""], [*[n for n in re.findall(r"words='(profile .*)' ;;", program.works("completion", "bash"))[0].split()],
                "--help", "--version"]),
        (["profile", "--met"], ["--metric", "--methods"]),
        (["profile", "--metric", ""], ["prefill", "ttft"]),
        (["profile", "--metric", "=", "t"], ["ttft"]),
        (["profile", "--metric", "="], ["prefill", "ttft"]),
        (["profile", "--methods", "prepacking,le"], ["prepacking,length-ordered"]),
        (["profile", "--methods", "=", "prepacking,le"], ["prepacking,length-ordered"]),
        (["profile", "--device", "cpu", ":", "r"], ["ref"]),
        (["profile", "--device", "cpu", ":"], ["ref", "avx2", "avx512", "avx512vnni", "avx512bf16"]),
        (["profile", "--device", "=", "cuda", ":", "m"], ["mma"]),
        (["profile", "--batch-size", ""], []),
        (["profile", "--share-prefixes", "--pol"], ["--policy"]),
        (["generate", "-p", ""], []),
        (["generate", "--model", "de"], ["compopt -o filenames", "demo", "demonstration.txt"]),
        (["generate", "--prompts", "data"], ["compopt -o default"]),
        (["convert", "--out", ""], ["compopt -o dirnames"]),
        (["bench", "a"], ["attention", "all"]),
        (["bench", "all", "--lengths", "bi"], ["compopt -o nospace", "compopt -o filenames", "bimodal:"]),
        (["help", "tok"], ["tokenize"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["nothing", ""], []),
    ]
    for words, expected in cases:
        found = in_bash(program, script, *words)
        assert found == expected, f"{words}: {found}, not {expected}"
    # each option of each command, by its first letters
    for command in ("plan", "score"):
        options = options_of(program, command)
        assert set(in_bash(program, script, command, "--")) == {f"--{o}" for o in options} | {"--help"}


def other_shells(program):
    """zsh and fish read their completions, and fish completes"""
    checks = {"zsh": ["zsh", "-n"], "fish": ["fish", "--no-execute"]}
    found = {shell: check for shell, check in checks.items() if shutil.which(shell)}
    if not found:
        raise Skip("neither zsh nor fish is here")
    for shell, check in found.items():
        path = program.file(f"completion.{shell}", program.works("completion", shell))
        done = subprocess.run([*check, path], capture_output=True, text=True, timeout=TIMEOUT, check=False)
        assert done.returncode == 0 and done.stderr == "", f"{shell}: {done.stderr}"
    if "fish" not in found:
        return
    for line, expected in (("prepack pro", ["profile"]), ("prepack profile --metr", ["--metric"]),
                           ("prepack profile --metric ", ["prefill", "ttft"]),
                           ("prepack plan --batch-size ", []), ("prepack bench a", ["all", "attention"]),
                           ("prepack profile --methods prepacking,le", ["prepacking,length-ordered"])):
        done = subprocess.run(["fish", "--no-config", "-c", f"source {path}; complete -C '{line}'"],
                              capture_output=True, text=True, timeout=TIMEOUT, cwd=program.folder,
                              env=program.environment({"HOME": program.folder}), check=False)
        offered = [l.split("\t")[0] for l in done.stdout.splitlines()]
        assert offered == expected, f"{line}: {offered}, {done.stderr}"


def wrong_words(program):
    """help and completion refuse words they do not know"""
    program.refuses(2, "no command 'nothing'", "help", "--man", "nothing")
    program.refuses(2, "one too many", "help", "plan", "score")
    program.refuses(2, "bash, zsh or fish", "completion")
    program.refuses(2, "'csh'", "completion", "csh")
    program.refuses(2, "'zsh'", "completion", "bash", "zsh")


CASES = [everything_is_in, words_hold, readme_examples, man_pages_are_clean, dashes_can_be_typed,
         bash_completes, other_shells, wrong_words]
