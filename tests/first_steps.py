#!/usr/bin/env python3
"""Runs the commands that docs/first-steps.md shows and compares what they print with what stands below them.

usage: first_steps.py SECTION HOME

SECTION: the words of a heading. Its blocks of the language "console" are one shell, which begins in the home folder:
a line "$ COMMAND", then what it prints, errors among it. "..." stands for any text, on a line of its own for any
lines. HOME: that folder, with libprepack (the source) and prepack (what was installed).
"""
import os
import re
import subprocess
import sys

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../docs/first-steps.md")
END = "-- end of what a command prints --"


def steps(section):
    """Pairs of a command and the text that it should print."""
    with open(PAGE, encoding="utf-8") as file:
        parts = re.split(r"^## (.*)$", file.read(), flags=re.M)
    text = dict(zip(parts[1::2], parts[2::2]))[section]
    shown = "\n".join(re.findall(r"^```console\n(.*?)^```$", text, re.M | re.S))
    commands = re.split(r"^\$ (.*)\n", shown, flags=re.M)
    return [(command, printed.strip("\n")) for command, printed in zip(commands[1::2], commands[2::2])]


def fits(printed, wanted):
    """Whether a text is the one that is shown."""
    lines = [".*" if line == "..." else ".*".join(re.escape(part) for part in line.split("..."))
             for line in wanted.splitlines()]
    pattern = "\n".join(f"(?s:{line})" if line == ".*" else line for line in lines)
    return re.fullmatch(pattern, printed.strip("\n")) is not None


def main(section, home):
    wanted = steps(section)
    if not wanted:
        sys.exit(f"the section {section} of docs/first-steps.md shows no commands")
    script = "cd\n" + "".join(f"{command}\necho\necho '{END}'\n" for command, _ in wanted)
    env = {"RUSTUP_HOME": os.path.expanduser("~/.rustup"), **os.environ, "HOME": home}  # a cargo of rustup asks for it
    run = subprocess.run(["bash", "-c", script], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, check=False)
    printed = run.stdout.split(END + "\n")
    for i, (command, text) in enumerate(wanted):
        got = printed[i] if i < len(printed) else ""
        if not fits(got, text):
            sys.exit(f"docs/first-steps.md, {section}\n$ {command}\nprints\n{got}\nand the page has\n{text}")
    print(f"{len(wanted)} commands of {section} print what docs/first-steps.md shows")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
