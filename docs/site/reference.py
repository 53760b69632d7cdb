"""Pages of the reference from the public headers: what a header opens with, then each declaration with the comment
that stands before it. Comments are taken as they are written: paragraphs, indented code, lists; names become links."""
import os
import re

BLOCK_COMMENT = re.compile(r"/\*.*?\*/", re.S)


class Declaration:
    """A declaration at the outermost level, with its comment (or "")."""

    def __init__(self, comment, code):
        self.comment, self.code = comment, code
        self.kind, self.name = describe(code)

    def constants(self):
        return re.findall(r"\b(PP_\w+)\s*=", BLOCK_COMMENT.sub("", self.code)) if self.kind == "constants" else []


def describe(code):
    """The kind and name of a declaration of C or C++; (None, None) for what has no entry of its own."""
    plain = BLOCK_COMMENT.sub("", code).strip()
    found = re.match(r"typedef struct (pp_\w+) \1;", plain)
    if found:
        return "handle", found[1]
    found = re.match(r"typedef struct (pp_\w+)\s*\{", plain)
    if found:
        return "struct", found[1]
    found = re.match(r"typedef .*?\(\*(pp_\w+)\)\(", plain, re.S) or re.match(r"typedef \w+ (pp_\w+);", plain)
    if found:
        return "type", found[1]
    if re.match(r"enum\s*\{", plain):
        names = [name for name in re.findall(r"\b(PP_\w+)\s*=", plain) if not name.endswith("_INT32")]
        shared = os.path.commonprefix(names)
        return "constants", ", ".join(names[:2]) + ", ..." * (len(names) > 2) if shared == "PP_" else shared + "*"
    found = re.match(r"PP_API\b[^;(]*?\b(pp_\w+)\(", plain, re.S)
    if found:
        return "function", found[1]
    found = re.match(r"#define (PP_\w+)", plain)
    if found:
        return "macro", found[1]
    found = re.match(r"(?:template <[^{;]*?>\s*)?(?:class|struct) (\w+)(?: :[^;{]*)?\s*\{", plain, re.S)
    if found:
        return "class", found[1]
    found = re.match(r"(?:template <[^{;]*?>\s*)?(?:inline )?[\w:<>, ]+?[\s*&](\w+)\(", plain, re.S)
    return ("function", found[1]) if found else (None, None)


def end_of_declaration(text, at):
    """The end of the declaration that begins at `at`: its ";", or the "}" of a function's body."""
    depth, i = 0, at
    while i < len(text):
        if text.startswith("/*", i):
            i = text.index("*/", i) + 2
            continue
        if text[i] == '"':
            i = re.compile(r'"(?:\\.|[^"\\])*"').match(text, i).end()
            continue
        depth += text[i] in "{(" 
        depth -= text[i] in "})"
        i += 1
        if depth == 0 and text[i - 1] == ";":
            return i
        if depth == 0 and text[i - 1] == "}" and re.match(r"\n(?!\s*[\w*]+[ ;])", text[i:]):
            return i
    raise ValueError(f"a declaration has no end: {text[at:at + 60]!r}")


def parse(text):
    """The opening comment, and the declarations in their order. Comments that no declaration follows at once are
    declarations without code: text of a section."""
    opening = BLOCK_COMMENT.match(text).group()
    text = re.sub(r"(?ms)^namespace detail \{$.*?^\} // namespace detail$", "", text)
    text = re.sub(r'(?m)^#ifdef __cplusplus\n(?:extern "C" \{|\})\n#endif\n', "", text[len(opening):])
    text = re.sub(r"(?m)^#if defined\(__GNUC__\)\n(.*\n)+?#endif\n|^#(?!define PP_)(.*\\\n)*.*\n|^namespace .*\{\n"
                  r"|^#define PREPACK_\w+\n|^\} // namespace.*\n", "", text)
    declarations, at, comment = [], 0, ""
    while at < len(text):
        if text[at] == "\n":
            if comment and text.startswith("\n", at + 1):
                declarations.append(Declaration(comment, ""))
                comment = ""
            at += 1
        elif text.startswith("/*", at):
            end = text.index("*/", at) + 2
            comment = text[at:end]
            at = end
        else:
            end = text.index("\n", at) if text[at] == "#" else end_of_declaration(text, at)
            declarations.append(Declaration(comment, text[at:end].strip()))
            comment, at = "", end
    return opening, declarations


# ---- comments to Markdown ----

def lines_of(comment):
    body = comment.strip()[2:-2]
    lines = [re.sub(r"^\s*\* ?", "", line) if i else line.lstrip("*").lstrip() for i, line in
             enumerate(body.split("\n"))]
    return [line.rstrip() for line in lines]


def escaped(text):
    return re.sub(r"([*_\[\]`\\])", r"\\\1", text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def prose(text, links):
    """A line of text with names as code, linked where the reference has them, and nothing else marked up by
    accident."""
    # what is code, what is emphasis (*word*), what is neither
    pattern = re.compile(r"`[^`]+`|\bPP_<\w+>\w*|(?<![\w*])\*\w[\w -]*\w\*(?!\w)|\*?\b(?:pp|PP|PREPACK)_\w*\*?(?:\.\w+|->\w+)*(?:\(\))?"
                         r"|(?<!\w)\*\w+(?:->\w+)?|\b\w+(?:->\w+)+|\b\w+(?:::\w+)+(?:\(\))?|\b\w+\(\)|\b(?:[a-z]\w*\.)?[A-Za-z]\w*_\w+(?:\.\w+)*|\bNULL\b|\b[\w/-]+\.(?:h|hpp|md|c|py)\b")
    result, last = [], 0
    for found in pattern.finditer(text):
        result.append(escaped(text[last:found.start()]))
        word, last = found.group(), found.end()
        if re.fullmatch(r"\*\w[\w -]*\w\*", word):
            result.append(word)
            continue
        name = re.match(r"`?\*?(\w*)", word)[1]
        code = word if word.startswith("`") else f"`{word}`"
        target = links.get(word) or links.get(name)
        result.append(f"[{code}]({target})" if target else code)
    result.append(escaped(text[last:]))
    return "".join(result)


def markdown(comment, links, language, code=""):
    """A comment as Markdown: lines that are indented by three or more are code, by one or two and begin with "-" or
    a word with ":" behind it an item of a list. code: the declaration, whose parameters begin paragraphs."""
    out, sample, in_list = [], [], False

    def end_sample():
        while sample and not sample[-1]:
            sample.pop()
        if sample:
            shift = min(len(line) - len(line.lstrip()) for line in sample if line)
            out.extend(["", f"```{language}"] + [line[shift:] for line in sample] + ["```", ""])
            sample.clear()

    for line in lines_of(comment):
        indent = len(line) - len(line.lstrip())
        headers = re.match(r" +\w+\.h(?:pp)? {2,}", line) and \
            re.findall(r"(\w+\.h(?:pp)?) +(.*?)(?= {2,}\w+\.h|$)", line) # a table of them
        item = re.match(r" {1,2}(?:- |([A-Z][A-Z0-9_]+(?:, [A-Z0-9_]+)*): )", line)
        if sample and (indent >= 3 or not line):
            sample.append(line)
            continue
        end_sample()
        if not line:
            out.append("")
            in_list = False
        elif headers:
            out += ([] if in_list else [""]) + [f"- {prose(name, links)}: {prose(what, links)}"
                                                for name, what in headers]
            in_list = True
        elif item:
            if not in_list:
                out.append("")
            out.append("- " + (f"**{item[1]}**: " if item[1] else "") + prose(line[item.end():], links))
            in_list = True
        elif in_list and indent >= 2:
            out.append("  " + prose(line.strip(), links))
        elif indent >= 3:
            sample.append(line)
        else:
            begins = re.match(r"(\w[\w-]*): ", line)
            opens = begins and (begins[1] in ("Errors", "Thread-safety") or re.search(rf"\b{begins[1]}\b", code))
            if in_list or opens:
                out.append("")
            if opens:
                word = f"**{begins[1]}**" if begins[1][0].isupper() else f"`{begins[1]}`"
                out.append(f"{word}: " + prose(line[begins.end():], links))
                in_list = False
                continue
            section = re.fullmatch(r"-+ (.*?) -+", line.strip())
            out.append("## " + section[1] if section else prose(line.strip(), links))
            in_list = False
    end_sample()
    return "\n".join(out).strip() + "\n"


# ---- pages ----

def synopsis(code):
    """A class of C++ without what is private and without bodies of functions."""
    code = re.sub(r"(?s)\n+  private:\n.*?(?=\n  (?:public|protected):|\n\};)", "", code)
    body = re.compile(r"(?:\n        : [^{]*?(?:\{[^}]*\}[^{]*?)*| : [^{;]*?)?\n( *)\{\n(?:\1    .*\n|\n)*\1\}")
    code = body.sub(";", re.sub(r"(?m)^( *)\{\n\1\}", r"\1{\n\1    \n\1}", code))
    return re.sub(r"(?: : [^{;\n]*)? \{\}$", ";", code, flags=re.M)


def heading(declaration):
    identity = declaration.name.split(",")[0].rstrip("*").rstrip("_") if declaration.kind == "constants" else \
        declaration.name
    words = {"handle": "handle", "struct": "struct", "constants": "constants", "type": "type", "class": "class",
             "macro": "macro"}.get(declaration.kind, "")
    # not escaped: mkdocs 1.4 shows escapes in its table of contents
    return f"## {declaration.name}{' (' + words + ')' if words else ''} {{#{identity}}}", identity


def anchors(page, declarations):
    """The names that a page explains, and where."""
    places = {}
    for declaration in declarations:
        if declaration.kind:
            identity = heading(declaration)[1]
            names = declaration.constants() or [declaration.name]
            if declaration.kind == "constants":
                names = names + [declaration.name]
            for name in names:
                places.setdefault(name, f"{page}#{identity}")
    return places


def page_of(name, opening, declarations, links):
    """The Markdown of one header."""
    lines = lines_of(opening)
    first = next(i for i, line in enumerate(lines) if line)
    lines[first] = re.sub(r"^prepack/[\w.]+: ", "", lines[first])
    lines[first] = lines[first][0].upper() + lines[first][1:]
    language = "cpp" if name.endswith(".hpp") else "c"
    out = [f"# {name}\n", f"```{language}\n#include <prepack/{name}>\n```\n",
           markdown("/* " + "\n * ".join(lines[first:]) + " */", links, language)]
    for declaration in declarations:
        if declaration.code and not declaration.kind:
            continue
        if declaration.kind:
            out.append("\n" + heading(declaration)[0] + "\n")
        if declaration.comment:
            out.append(markdown(declaration.comment, links, language, declaration.code))
        if declaration.code:
            code = synopsis(declaration.code) if language == "cpp" else declaration.code
            if code.startswith("PP_API "):
                code = code[7:].replace("\n       ", "\n") # the lines that continue it stand below its parentheses
            out.append(f"\n```{language}\n{code}\n```\n")
    return "\n".join(out)


def first_sentence(opening):
    """What a header is about; where that is a word, with the next sentence."""
    text = re.sub(r"^prepack/[\w.]+: ", "", " ".join(lines_of(opening)).strip())
    sentences = re.findall(r".*?[.:](?= |$) ?", text.split("     ")[0] + ".")
    first = sentences[0] if len(sentences[0]) > 40 else "".join(sentences[:2])
    return first.strip().rstrip(".:")


def reference(headers, links):
    """headers: {name: text}; links: {text in prose: where it leads}. Returns {page name: Markdown}, the index among them, and {public name: place}."""
    parsed = {name: parse(text) for name, text in headers.items()}
    places = {}
    for name, (_, declarations) in parsed.items():
        places.update({key: value for key, value in anchors(name + ".md", declarations).items() if key not in places})
    places.update({name: name + ".md" for name in headers})
    links = {**places, **links}
    pages = {name + ".md": page_of(name, opening, declarations, links) for name, (opening, declarations) in
             parsed.items()}
    index = ["# Reference\n", "One page for each public header, made from its comments. Conventions of the whole interface "
             "are in [common.h](common.h.md), those of the C++ classes in [base.hpp](base.hpp.md).\n"]
    for title, ending in (("C", ".h"), ("C++", ".hpp")):
        index += [f"\n## {title}\n", "| header | what it is about |", "|---|---|"]
        index += [f"| [{name}]({name}.md) | {prose(first_sentence(opening), {}).replace('|', chr(92) + '|')} |"
                  for name, (opening, _) in parsed.items() if name.endswith(ending)]
    pages["index.md"] = "\n".join(index) + "\n"
    return pages, places
