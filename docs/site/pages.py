#!/usr/bin/env python3
"""Writes what mkdocs makes the site from: the repository's pages at their places, pages for the source files that
they link to, and the reference. In prose, names of the interface become links to the reference.

usage: pages.py FOLDER            which gets mkdocs.yml and pages/"""
import os
import re
import shutil
import sys

import mkdocs
from pygments.formatters import HtmlFormatter

from reference import reference

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PICTURES = (".png", ".svg")
LANGUAGES = {".c": "c", ".h": "c", ".cpp": "cpp", ".hpp": "cpp", ".py": "python", ".sh": "sh", ".txt": "cmake"}


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def write(folder, path, text):
    target = os.path.join(folder, path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "w", encoding="utf-8") as file:
        file.write(text)


def headers():
    """The public headers, prepack.h and prepack.hpp first."""
    names = [name for name in os.listdir(os.path.join(ROOT, "include/prepack")) if name.endswith((".h", ".hpp"))]
    texts = {name: read("include/prepack/" + name) for name in names}
    version = re.search(r"version: '([\d.]+)'", read("meson.build"))[1]
    values = dict(zip(("major", "minor", "patch"), version.split(".")), version=version)
    texts["version.h"] = re.sub(r"@(\w+)@", lambda found: values[found[1]], read("include/prepack/version.h.in"))
    return {name: texts[name] for name in sorted(texts, key=lambda name: (name.split(".")[1],
                                                                          not name.startswith("prepack."), name))}


def outside_code(text, change):
    """Applies `change` to the lines of a page that are not code."""
    fenced, lines = False, []
    for line in text.split("\n"):
        fence = line.lstrip().startswith("```")
        lines.append(line if fenced or fence or line.startswith("    ") else change(line))
        fenced ^= fence
    return "\n".join(lines)


def with_reference(path, text, places):
    """`pp_run` in prose becomes a link, unless it is one already."""
    up = os.path.relpath("reference", os.path.dirname(path) or ".")

    def link(found):
        name = found[2]
        return f"[`{found[1]}`]({up}/{places[name]})" if name in places else found[0]

    def change(line):
        if line.startswith("#"):
            return line
        pieces = re.split(r"(\[[^\]]*\]\([^)]*\))", line) # links stay
        return "".join(piece if i % 2 else re.sub(r"`(((?:pp|PP)_\w+)(?:\(\))?)`", link, piece)
                       for i, piece in enumerate(pieces))
    return outside_code(text, change)


def source_page(path):
    language = LANGUAGES.get(os.path.splitext(path)[1], "text")
    text = read(path).rstrip("\n")
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall(r"`+", text)), 3)
    return f"# {os.path.basename(path)}\n\n`{path}`\n\n{fence}{language}\n{text}\n{fence}\n"


def repository_docs():
    return ["README.md"] + sorted(os.path.relpath(os.path.join(base, name), ROOT)
                                  for base, _, names in os.walk(os.path.join(ROOT, "docs"))
                                  for name in names if name.endswith(".md"))


def repository_pages(folder, places):
    """README.md, docs/ and what can be reached from there; pictures as they are."""
    waiting = repository_docs()
    own = set(waiting)
    done = set()
    while waiting:
        path = waiting.pop(0)
        if path in done:
            continue
        done.add(path)

        def target(found):
            file, _, anchor = found[1].partition("#")
            if "://" in file or not file:
                return found[0]
            other = os.path.normpath(os.path.join(os.path.dirname(path), file))
            if not os.path.isfile(os.path.join(ROOT, other)):
                raise SystemExit(f"{path} links to {file}, which is no file")
            if other.endswith(PICTURES):
                os.makedirs(os.path.dirname(os.path.join(folder, other)), exist_ok=True)
                shutil.copy(os.path.join(ROOT, other), os.path.join(folder, other))
                return found[0]
            waiting.append(other)
            return f"]({file}{'' if other.endswith('.md') else '.md'}{'#' + anchor if anchor else ''})"

        if path.endswith(".md"):
            text = outside_code(read(path), lambda line: re.sub(r"\]\(([^)\s]+)\)", target, line))
            write(folder, path, with_reference(path, text, places))
        else:
            write(folder, path + ".md", source_page(path))
    return own


def missing_scripts(folder):
    """Debian's mkdocs 1.4 has the theme's scripts under other names than its pages ask for."""
    theme = os.path.join(os.path.dirname(mkdocs.__file__), "themes/readthedocs")
    with open(os.path.join(theme, "base.html"), encoding="utf-8") as file:
        wanted = re.findall(r"'(js/jquery[\w.-]+)'\|url", file.read())
    there = [name for name in os.listdir(os.path.join(theme, "js")) if name.startswith("jquery")]
    os.makedirs(os.path.join(folder, "js"), exist_ok=True)
    for name in wanted:
        if os.path.basename(name) not in there:
            shutil.copy(os.path.join(theme, "js", there[0]), os.path.join(folder, name))
    shutil.copy(os.path.join(HERE, "theme_extra.js"), os.path.join(folder, "js"))


def main():
    folder = sys.argv[1]
    docs = [path for path in repository_docs() if path.startswith("docs/")]
    pages, places = reference(headers(), {path: "../" + path for path in docs})
    for name, text in pages.items():
        write(os.path.join(folder, "pages/reference"), name, text)
    own = repository_pages(os.path.join(folder, "pages"), places)
    missing_scripts(os.path.join(folder, "pages"))
    style = HtmlFormatter(style="default").get_style_defs(".codehilite")
    write(folder, "pages/site.css", style + "\n" + read("docs/site/site.css"))
    config = read("docs/site/mkdocs.yml")
    left_out = [path for path in own if f": {path}\n" not in config]
    if left_out:
        raise SystemExit(f"not in docs/site/mkdocs.yml: {', '.join(sorted(left_out))}")
    entries = "".join(f"\n      - {'Overview' if name == 'index.md' else name[:-3]}: reference/{name}"
                      for name in sorted(pages, key=lambda name: name != "index.md"))
    write(folder, "mkdocs.yml", config.replace(": REFERENCE", ":" + entries))


main()
