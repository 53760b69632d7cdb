#!/usr/bin/env python3
"""What mkdocs does not check of a site: every link and the place in the page that it names; every public function,
struct, constant and type has an entry in the reference.

usage: check.py SITE"""
import html.parser
import os
import re
import sys

SITE = os.path.abspath(sys.argv[1])
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
problems = []


class Page(html.parser.HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.text = set(), [], []
        with open(path, encoding="utf-8") as file:
            self.feed(file.read())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if attributes.get("id"):
            self.ids.add(attributes["id"])
        self.links += [attributes[key] for key in ("href", "src") if attributes.get(key)]

    def handle_data(self, data):
        self.text.append(data)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


pages = {}
for base, _, names in os.walk(SITE):
    pages.update({os.path.join(base, name): Page(os.path.join(base, name)) for name in names if name.endswith(".html")})
n_links = 0
for path, page in pages.items():
    if os.path.basename(path) == "404.html": # whose links are those of the root of a server
        continue
    for link in page.links:
        if re.match(r"[a-z]+:", link):
            if re.match(r"https?://", link) and not link.startswith(("https://www.mkdocs.org", "https://readthedocs.org",
                                                                     "https://github.com/")):
                problems.append(f"{os.path.relpath(path, SITE)} goes to {link}")
            continue
        file, _, place = link.partition("#")
        target = os.path.normpath(os.path.join(os.path.dirname(path), file)) if file else path
        n_links += 1
        if not os.path.exists(target):
            problems.append(f"{os.path.relpath(path, SITE)} links to {link}, which is not there")
        elif place and target in pages and place not in pages[target].ids:
            problems.append(f"{os.path.relpath(path, SITE)} links to {link}, and the page has no such place")

reference = {path: page for path, page in pages.items() if os.path.relpath(path, SITE).startswith("reference/")}
ids = {identity for page in reference.values() for identity in page.ids}
text = "\n".join("".join(page.text) for page in reference.values())
names = read("tests/abi/exports.txt").split() + read("tests/abi/exports-tokenizer.txt").split()
for name in sorted(os.listdir(os.path.join(ROOT, "include/prepack"))):
    if name.endswith(".h"):
        code = re.sub(r"(?s)/\*.*?\*/", "", read("include/prepack/" + name))
        names += re.findall(r"^typedef struct (pp_\w+) ", code, re.M)
        names += re.findall(r"^typedef [^;]*?\(\*(pp_\w+)\)", code, re.M)
        problems += [f"the reference does not show {constant}" for constant in re.findall(r"\b(PP_\w+) =", code)
                     if not re.search(rf"\b{constant}\b", text)]
    if name.endswith(".hpp"):
        names += re.findall(r"^(?:template <[^>]*> )?class (\w+)[^;]*\{$", re.sub(
            r"(?ms)^namespace detail \{$.*?^\} // namespace detail$", "", read("include/prepack/" + name)), re.M)
problems += [f"the reference has no entry for {name}" for name in sorted(set(names) - ids)]
for problem in sorted(set(problems)):
    print(problem, file=sys.stderr)
print(f"{len(pages)} pages, {n_links} links, {len(set(names))} names")
sys.exit(1 if problems else 0)
