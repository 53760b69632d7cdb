"""What the public headers declare, for the declarations of other languages: read by regular expressions, which
the headers' own rules allow (no macros, no unions, one declaration a statement). Types stay C text, "const
int32_t *"; tests/abi/python_abi.py and its neighbours turn them into their languages."""
import collections
import os
import re

HEADERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../include/prepack")

# A function or a type of function: result and types are C text.
Function = collections.namedtuple("Function", "name result parameters header")
# A field or parameter. n: elements of an array, else None. function: of a pointer to a function without a name.
Variable = collections.namedtuple("Variable", "name type n function")
Struct = collections.namedtuple("Struct", "name fields header")
Constant = collections.namedtuple("Constant", "name value header")
Interface = collections.namedtuple("Interface", "constants handles structs callbacks functions")

TOKENIZER_HEADER = "tokenizer.h"


def without_comments(text):
    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.S)
    return re.sub(r"^\s*#.*?(?<!\\)$", "", text, flags=re.M)


def normal(c_type):
    """One space between words, one before the stars."""
    words = c_type.replace("*", " * ").replace("struct ", "").split()
    return re.sub(r"\* (?=\*)", "*", " ".join(words))


def split_parameters(text):
    """At commas outside parentheses."""
    parts, depth, start = [], 0, 0
    for i, character in enumerate(text + ","):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    return [part for part in parts if part and part != "void"]


def variables(declaration):
    """Those of one declaration, of which there may be several: `int32_t a, b[4]`."""
    pointer = re.fullmatch(r"(.+?)\(\s*\*\s*(\w+)\s*\)\s*\((.*)\)", declaration, re.S)
    if pointer:
        result, name, parameters = pointer.groups()
        yield Variable(name, "function", None, (normal(result), parameter_list(parameters)))
        return
    first, *others = split_parameters(declaration)
    base, name = re.fullmatch(r"(.*?)(\w+(?:\[[^\]]*\])?)", first, re.S).groups()
    for one in [name, *others]:
        stars, one, n = re.fullmatch(r"([*\s]*)(\w+)(?:\[(\w*)\])?", one).groups()
        yield Variable(one, normal(base + stars), int(n) if n else None, None)


def parameter_list(text):
    return [next(variables(part)) for part in split_parameters(text)]


def read_header(name):
    """(constants, handles, structs, callbacks, functions) of one header."""
    with open(os.path.join(HEADERS, name), encoding="utf-8") as file:
        text = without_comments(file.read())
    constants, structs, callbacks = [], [], []
    for body in re.findall(r"\benum\s*\{(.*?)\}", text, re.S):
        for constant, value in re.findall(r"(PP_\w+)\s*=\s*(-?\w+)", body):
            constants.append(Constant(constant, int(value, 0), name))
    for body, struct in re.findall(r"typedef struct \w+ \{(.*?)\} (\w+);", text, re.S):
        fields = [v for part in body.split(";") if part.strip() for v in variables(part.strip())]
        structs.append(Struct(struct, fields, name))
    for result, callback, parameters in re.findall(r"typedef ([^;{}]*?)\(\*(\w+)\)\(([^;]*)\);", text, re.S):
        callbacks.append(Function(callback, normal(result), parameter_list(parameters), name))
    handles = re.findall(r"typedef struct (\w+) \1;", text)
    functions = [Function(function, normal(result), parameter_list(parameters), name) for
                 result, function, parameters in re.findall(r"PP_API ([^;{}]*?)\b(pp_\w+)\(([^;]*)\);", text, re.S)]
    return constants, handles, structs, callbacks, functions


def read_all():
    """The Interface of all public headers, in the headers' alphabetical order."""
    parts = [read_header(name) for name in sorted(os.listdir(HEADERS)) if name.endswith((".h", ".h.in"))]
    return Interface(*([one for part in parts for one in part[i]] for i in range(5)))
