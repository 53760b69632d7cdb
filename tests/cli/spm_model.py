"""Writes SentencePiece model files, whole or broken, in protobuf's wire format."""

import struct

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6


def varint(value):
    value &= (1 << 64) - 1
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number, wire, payload):
    return varint(number << 3 | wire) + payload


def bytes_field(number, payload):
    return field(number, 2, varint(len(payload)) + payload)


def int_field(number, value):
    return field(number, 0, varint(value))


def piece(text, score=0.0, kind=NORMAL):
    if isinstance(text, str):
        text = text.encode()
    return bytes_field(1, bytes_field(1, text) + field(2, 5, struct.pack("<f", score)) +
                       int_field(3, kind))


UNUSED_UNIT = 0x80000000  # no byte has this label


def trie_unit(label, offset, leaf):
    return label | (256 if leaf else 0) | offset << 10


def charsmap(change=None, strings=b"b\0", size=None):
    """A table that turns 'a' into 'b'; change: {unit index: value} replaces units."""
    units = [UNUSED_UNIT] * 512
    units[0] = trie_unit(0, 256, False)
    place = 256 ^ ord("a")
    units[place] = trie_unit(ord("a"), place ^ 128, True)
    units[128] = 0x80000000
    for index, value in (change or {}).items():
        units[index] = value
    blob = struct.pack("<512I", *units)
    return struct.pack("<I", len(blob) if size is None else size) + blob + strings


def nested_matches(depth):
    """A trie in which a text of `depth` times 'a' matches at every byte."""
    units = [UNUSED_UNIT] * (256 * (depth + 2))
    units[0] = trie_unit(0, 256, False)
    for level in range(depth):
        place = 256 * (level + 1) ^ ord("a")
        below = 256 * (level + 2)
        units[place] = trie_unit(ord("a"), place ^ below, True)
        units[below] = 0x80000000
    blob = struct.pack(f"<{len(units)}I", *units)
    return struct.pack("<I", len(blob)) + blob + b"b\0"


def circle():
    """A trie whose 'a' leads back to the unit it came from."""
    units = [UNUSED_UNIT] * 512
    units[0] = trie_unit(0, 256, False)
    place = 256 ^ ord("a")
    units[place] = trie_unit(ord("a"), place ^ 256, False)
    blob = struct.pack("<512I", *units)
    return struct.pack("<I", len(blob)) + blob + b"b\0"


def special():
    return piece("<unk>", kind=UNKNOWN) + piece("<s>", kind=CONTROL) + piece("</s>", kind=CONTROL)


def letters():
    return b"".join(piece(c, -float(i)) for i, c in enumerate("\u2581abcdefgh"))


def training(model_type=2, **numbers):
    names = {"byte_fallback": 35, "unk_id": 40, "bos_id": 41, "eos_id": 42, "pad_id": 43}
    out = int_field(3, model_type)
    for name, value in numbers.items():
        out += int_field(names[name], value)
    return bytes_field(2, out)


def normalizer(table=b""):
    return bytes_field(3, bytes_field(1, b"test") + (bytes_field(2, table) if table else b""))


def model(pieces=None, train=None, norm=None, tail=b""):
    return ((special() + letters() if pieces is None else pieces) +
            (training() if train is None else train) +
            (normalizer() if norm is None else norm) + tail)


# name: (file, what the sentence must say)
def broken_models():
    good = special() + letters()
    byte_pieces = b"".join(piece(f"<0x{i:02X}>", kind=BYTE) for i in range(255))
    return {
        "empty file": (b"", "empty"),
        "varint of 11 bytes": (b"\x80" * 11 + b"\x01", "broken number"),
        "length past the end": (field(1, 2, varint(1000)) + b"x", "past the end"),
        "length of 2^64 - 1": (field(1, 2, varint(-1)) + b"x", "past the end"),
        "field number 0": (model(tail=b"\x00\x01"), "number 0"),
        "nested groups": (model(tail=field(9, 3, b"") * 100000), "no such model"),
        "wire type 6": (model(tail=field(9, 6, b"")), "no such model"),
        "wire type 7": (model(tail=field(9, 7, b"")), "no such model"),
        "pieces as numbers": (model(tail=int_field(1, 5)), "not a message"),
        "no pieces": (model(pieces=b""), "no pieces"),
        "empty piece": (model(pieces=good + piece("")), "empty piece"),
        "piece of 65537 bytes": (model(pieces=good + piece("a" * 65537)), "4096 bytes"),
        "piece that is not UTF-8": (model(pieces=good + piece(b"\xff\xfe")), "not UTF-8"),
        "piece that is overlong UTF-8": (model(pieces=good + piece(b"\xc0\xaf")), "not UTF-8"),
        "piece with NUL": (model(pieces=good + piece("a\0b")), "not UTF-8"),
        "piece twice": (model(pieces=good + piece("a")), "twice"),
        "no unknown piece": (model(pieces=letters()), "exactly one"),
        "two unknown pieces": (model(pieces=good + piece("<u>", kind=UNKNOWN)), "exactly one"),
        "score that is NaN": (model(pieces=good + piece("x", float("nan"))), "finite"),
        "score that is infinite": (model(pieces=good + piece("x", float("inf"))), "finite"),
        "piece of type 99": (model(pieces=good + piece("x", kind=99)), "unknown type"),
        "byte piece of no byte": (model(pieces=good + piece("<0xZZ>", kind=BYTE)), "<0x00>"),
        "byte pieces without one": (
            model(pieces=good + byte_pieces, train=training(byte_fallback=1)), "256 byte pieces"),
        "byte pieces unasked": (model(pieces=good + byte_pieces), "does not fall back"),
        "unk_id beyond the pieces": (model(train=training(unk_id=1000)), "special ids"),
        "model type 9": (model(train=training(model_type=9)), "unigram"),
        "40 nested user pieces": (
            model(pieces=good + b"".join(piece("z" * (i + 1), kind=USER_DEFINED)
                                         for i in range(40))), "user-defined"),
        "charsmap of 1 byte": (model(norm=normalizer(b"\0")), "5 bytes"),
        "charsmap of 3 bytes": (model(norm=normalizer(b"\0\0\0")), "5 bytes"),
        "charsmap trie beyond the blob": (
            model(norm=normalizer(charsmap(size=1 << 30))), "impossible size"),
        "charsmap trie of odd size": (
            model(norm=normalizer(charsmap(size=2046))), "impossible size"),
        "charsmap root with a leaf": (
            model(norm=normalizer(charsmap({0: trie_unit(0, 256, True)}))), "empty text"),
        "charsmap root out of range": (
            model(norm=normalizer(charsmap({0: trie_unit(0, 1 << 20, False)}))),
            "outside itself"),
        "charsmap root far out of range": (
            model(norm=normalizer(charsmap({0: 0x7FFFFE00}))), "outside itself"),
        "charsmap child out of range": (
            model(norm=normalizer(charsmap({256 ^ 97: trie_unit(97, 1 << 19, True)}))),
            "outside itself"),
        "charsmap replacement outside": (
            model(norm=normalizer(charsmap({128: 0x80000002}))), "outside the table"),
        "charsmap without last NUL": (
            model(norm=normalizer(charsmap(strings=b"bc"))), "end in NUL"),
        "charsmap with 40 matches": (model(norm=normalizer(nested_matches(40))), "32 matches"),
        "charsmap with a circle": (model(norm=normalizer(circle())), "circle"),
    }
