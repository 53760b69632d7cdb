"""Makes tests/golden/tokenizers: small tokenizers, one for each way in which a family of models cuts its
texts, and what the library `tokenizers` says with them. Needs tokenizers 0.23.3 and sentencepiece.

usage: make_tokenizers.py [NAME...]      all of them, or those named

NAME.json        a tokenizer.json, trained on the prose and examples of this tree and on PHRASES
NAME.cases.json  {"edges": [b, a], "cases": [[text, ids, offsets, decoded, whole], ...]}
    edges    how many tokens of ids stand before and behind those of the text itself
    ids      with beginning and end
    offsets  of the tokens between them, in bytes: n: n bytes, from where the last one ends; 0: the same
             as the last one's (parts of one character); [begin, end]: somewhere else
    decoded  all ids, decoded without the special tokens; null: the text again
    whole    the same with the special tokens; only in some cases
"""
import glob
import io
import json
import os
import struct
import sys

import golden_texts as texts
from spm_fields import fields
from tokenizers import (AddedToken, Regex, Tokenizer, decoders as D, models as M, normalizers as N,
                        pre_tokenizers as P, processors as X, trainers as R)

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
OUT = os.path.join(HERE, "tokenizers")
SPACE = "▁"

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
QWEN35 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
CASED = rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+%s|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*%s|\p{{N}}%s"
CASED += r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
O200K, TEKKEN = CASED % (SHORT, SHORT, "{1,3}"), CASED % ("", "", "")
DEEPSEEK = (r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+",
            r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
            r"""| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""")
CLIP = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def corpus():
    out = list(texts.PHRASES) * 3
    for pattern in ("README.md", "docs/*.md", "examples/*.c"):
        for path in sorted(glob.glob(os.path.join(ROOT, pattern))):
            with open(path, encoding="utf-8") as file:
                out.append(file.read())
    return out


CORPUS = corpus()
KINDS = {}


def kind(function):
    KINDS[function.__name__.replace("_", "-")] = function
    return function


def split(pattern, how="isolated", invert=False):
    return P.Split(Regex(pattern), how, invert)


def byte_level(space=False, regex=False, trim=True):
    return P.ByteLevel(add_prefix_space=space, use_regex=regex, trim_offsets=trim)


def special(*names, **flags):
    return [AddedToken(name, special=True, normalized=False, **flags) for name in names]


def around(tokenizer, before=(), after=()):
    """A template with special tokens around a text."""
    names = [*before, *after]
    tokenizer.post_processor = X.TemplateProcessing(
        single=" ".join([*before, "$A", *after]), pair=" ".join([*before, "$A", *after, "$B"]),
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in dict.fromkeys(names)])


def train_bpe(pre, norm=None, size=300, specials=(), model=None, **options):
    model = model or {}
    tokenizer = Tokenizer(M.BPE(**model))
    if norm:
        tokenizer.normalizer = norm
    if pre:
        tokenizer.pre_tokenizer = pre
    for key in ("continuing_subword_prefix", "end_of_word_suffix"):
        if key in model:
            options[key] = model[key]
    tokenizer.train_from_iterator(CORPUS, R.BpeTrainer(
        vocab_size=size, show_progress=False, special_tokens=list(specials), **options))
    return tokenizer


def byte_bpe(pre, norm=None, specials=(), **options):
    """Of bytes, as GPT-2 and most since."""
    tokenizer = train_bpe(pre, norm, specials=specials, initial_alphabet=P.ByteLevel.alphabet(), **options)
    tokenizer.decoder = D.ByteLevel()
    return tokenizer


def edited(tokenizer, edit):
    """With a change in its JSON."""
    data = json.loads(tokenizer.to_str())
    edit(data)
    return Tokenizer.from_str(json.dumps(data))


def merges_as_strings(data):
    """As files of before 2024 have them."""
    data["model"]["merges"] = [" ".join(merge) for merge in data["model"]["merges"]]


# ---- of bytes ----

@kind
def gpt2():
    tokenizer = byte_bpe(byte_level(regex=True), specials=["<|endoftext|>"])
    tokenizer.post_processor = X.ByteLevel(trim_offsets=False)
    return tokenizer, merges_as_strings


@kind
def gpt2_prefix_space():
    tokenizer = byte_bpe(byte_level(True, True))
    tokenizer.post_processor = X.ByteLevel(add_prefix_space=True, trim_offsets=True)
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return tokenizer, None


@kind
def roberta():
    tokenizer = byte_bpe(byte_level(regex=True), specials=["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    tokenizer.post_processor = X.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True,
                                                   add_prefix_space=False)
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    return tokenizer, merges_as_strings


@kind
def llama3():
    """With words in the vocabulary that no merge reaches."""
    tokenizer = byte_bpe(P.Sequence([split(LLAMA3), byte_level()]))

    def edit(data):
        vocab = data["model"]["vocab"]
        for word in ("Ġwhole", "zqxj", "Ċ" * 3, "ĠĠĠĠĠĠĠ", "!!!", "Ã©Ã©", "123"):
            vocab.setdefault(word, len(vocab))
        data["model"]["ignore_merges"] = True
    tokenizer = edited(tokenizer, edit)
    tokenizer.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"])
    template = X.TemplateProcessing(single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A $B", special_tokens=[
        ("<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>"))])
    tokenizer.post_processor = X.Sequence([X.ByteLevel(trim_offsets=False), template])
    return tokenizer, None


@kind
def qwen2():
    tokenizer = byte_bpe(P.Sequence([split(QWEN2), byte_level(trim=False)]), N.NFC())
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer.add_tokens([AddedToken("<tool_call>", normalized=False), AddedToken("</tool_call>", normalized=False)])
    tokenizer.post_processor = X.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    return tokenizer, merges_as_strings


@kind
def qwen35():
    tokenizer = byte_bpe(P.Sequence([split(QWEN35), byte_level()]), N.NFC())
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    return tokenizer, None


@kind
def o200k():
    tokenizer = byte_bpe(P.Sequence([split(O200K, "removed", True), byte_level()]))
    tokenizer.add_special_tokens(["<|endoftext|>", "<|endofprompt|>"])
    return tokenizer, None


@kind
def tekken():
    tokenizer = byte_bpe(P.Sequence([split(TEKKEN), byte_level()]))
    tokenizer.add_special_tokens(["<s>", "</s>", "[INST]", "[/INST]"])
    around(tokenizer, ["<s>"])
    return tokenizer, None


@kind
def deepseek_v3():
    tokenizer = byte_bpe(P.Sequence([*[split(p) for p in DEEPSEEK], byte_level()]))
    tokenizer.add_special_tokens(["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"])
    tokenizer.add_tokens([AddedToken("<｜User｜>", normalized=False), AddedToken("<think>", normalized=False)])
    around(tokenizer, ["<｜begin▁of▁sentence｜>"])
    return tokenizer, None


@kind
def smollm():
    tokenizer = byte_bpe(P.Sequence([P.Digits(individual_digits=True), byte_level(regex=True)]))
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    return tokenizer, None


@kind
def bytes_by_normalizer():
    tokenizer = byte_bpe(P.Sequence([split(LLAMA3), byte_level()]))
    tokenizer.normalizer = N.ByteLevel()
    data = json.loads(tokenizer.to_str())
    data["pre_tokenizer"] = None
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.add_special_tokens(["<|x|>"])
    return tokenizer, None


@kind
def clip():
    norm = N.Sequence([N.NFC(), N.Replace(Regex(r"\s+"), " "), N.Lowercase()])
    pre = P.Sequence([split(CLIP, "removed", True), byte_level()])
    tokenizer = train_bpe(pre, norm, 540, ["<|startoftext|>", "<|endoftext|>"],
                          {"end_of_word_suffix": "</w>", "unk_token": "<|endoftext|>"},
                          initial_alphabet=P.ByteLevel.alphabet())
    tokenizer.decoder = D.ByteLevel()
    tokenizer.post_processor = X.RobertaProcessing(("<|endoftext|>", 1), ("<|startoftext|>", 0), trim_offsets=False,
                                                   add_prefix_space=False)
    return tokenizer, merges_as_strings


@kind
def split_every_way():
    ways = ("isolated", "merged_with_previous", "merged_with_next", "contiguous")
    pre = [split(r"\s+|\d", ways[0]), split("[aeiou]{2}", ways[1]), split(r"\p{Lu}", ways[2]),
           split(r"[.!?]", ways[3], True), P.Split("e", ways[1], True), P.Split("ni", ways[2], True),
           P.Split(".", ways[3]), P.Split("#", "removed"), split("[^~]+", "removed", True)]
    return byte_bpe(P.Sequence([*pre, byte_level()])), None


@kind
def punctuation_every_way():
    pre = [P.CharDelimiterSplit("|"), P.Punctuation("merged_with_previous"),
           P.Punctuation("merged_with_next"), P.Digits(False), P.FixedLength(5)]
    return byte_bpe(P.Sequence([*pre, byte_level()])), None


@kind
def forms():
    """Normalizers that others do not have."""
    norm = N.Sequence([N.Nmt(), N.NFKC(), N.Replace("ß", "ss"), N.Strip(), N.Replace(Regex(r"(\d)\d+"), "<n>"),
                       N.Replace(Regex(r"\s*$"), "!"), N.NFKD(), N.Prepend("_")])
    tokenizer = byte_bpe(P.Sequence([split(GPT2), byte_level()]), norm)
    tokenizer.add_tokens([AddedToken("Ünï", normalized=True), AddedToken("ẞx", normalized=False)])
    return tokenizer, None


ADDED = ["<a>", "<ab>", "<a><b>", "New York", " lead", "trail ", "ab", "abc", "ABC", "é", "e\u0301", "中", "\n\n", "42",
         "<|x|>", "İ", "word", "_"]


@kind
def added_raw():
    tokenizer = byte_bpe(byte_level(regex=True), N.Sequence([N.NFC(), N.Lowercase()]), size=300)
    flags = ({}, {"lstrip": True}, {"rstrip": True}, {"lstrip": True, "rstrip": True}, {"single_word": True})
    tokenizer.add_tokens([AddedToken(word, normalized=False, **flags[i % len(flags)]) for i, word in enumerate(ADDED)])
    tokenizer.add_special_tokens([AddedToken("<sp>", single_word=True), AddedToken("<sp>2", lstrip=True)])
    return tokenizer, None


@kind
def added_normalized():
    tokenizer = byte_bpe(byte_level(regex=True), N.Sequence([N.NFC(), N.Lowercase()]), size=300)
    flags = ({"single_word": True}, {"rstrip": True}, {}, {"lstrip": True}, {"lstrip": True, "rstrip": True})
    # of tokens that are one when they are normalised, tokenizers takes any: another in each process
    words = [word for word in ADDED if word not in ("abc", "e\u0301")]
    tokenizer.add_tokens([AddedToken(word, normalized=True, **flags[i % len(flags)]) for i, word in enumerate(words)])
    tokenizer.add_special_tokens([AddedToken("<sp>", normalized=True), AddedToken("<sp>2", rstrip=True)])
    return tokenizer, None


@kind
def ctc():
    tokenizer = byte_bpe(byte_level(regex=True), size=290)
    tokenizer.decoder = D.CTC(pad_token="a", word_delimiter_token="e", cleanup=True)
    return tokenizer, None


@kind
def template_rich():
    """And no decoder."""
    tokenizer = byte_bpe(byte_level(regex=True), specials=["<s>", "</s>", "<q>"], size=290)
    tokenizer.post_processor = X.TemplateProcessing(
        single="<s>:0 <q>:1 $A:2 </s>:0 <s>:0", pair="$A $B",
        special_tokens=[("<s>", 0), ("</s>", 1), {"id": "<q>", "ids": [2, 0], "tokens": ["<q>", "<s>"]}])

    def edit(data):
        data["decoder"] = None
    return edited(tokenizer, edit), None


# ---- of characters, with bytes to fall back on ----

def pieces(norm, pre, decoder, more=(), bos=True, bytes_too=True, **model):
    """As SentencePiece's BPE: spaces are ▁, rare characters are bytes."""
    start = ["<unk>", "<s>", "</s>"] + ([f"<0x{byte:02X}>" for byte in range(256)] if bytes_too else [])
    model = {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": bytes_too, **model}
    spaces = N.Sequence([N.Prepend(SPACE), N.Replace(" ", SPACE)])
    learnt = train_bpe(split(f"{SPACE}+[^{SPACE}]*"), spaces, len(start) + 110, start, model, limit_alphabet=90)
    vocab = json.loads(learnt.to_str())["model"]
    tokenizer = Tokenizer(M.BPE(vocab=vocab["vocab"], merges=[tuple(m) for m in vocab["merges"]], **model))
    if norm:
        tokenizer.normalizer = norm
    if pre:
        tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoder
    tokenizer.add_special_tokens(special("<unk>", "<s>", "</s>"))
    tokenizer.add_tokens(list(more))
    if bos:
        around(tokenizer, ["<s>"])
    return tokenizer


def llama_decoder():
    return D.Sequence([D.Replace(SPACE, " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)])


def gemma_decoder():
    return D.Sequence([D.Replace(SPACE, " "), D.ByteFallback(), D.Fuse()])


def llama_spaces():
    return N.Sequence([N.Prepend(SPACE), N.Replace(" ", SPACE)])


@kind
def llama2():
    return pieces(llama_spaces(), None, llama_decoder()), merges_as_strings


@kind
def llama2_no_bytes():
    return pieces(llama_spaces(), None, llama_decoder(), bytes_too=False), None


@kind
def phi3():
    more = special("<|endoftext|>", "<|assistant|>", "<|end|>", "<|user|>", rstrip=True)
    return pieces(llama_spaces(), None, llama_decoder(),
                  [*more, AddedToken("</s>", rstrip=True, normalized=False)]), None


MORE = [AddedToken("<tool>", normalized=True), AddedToken("[X]", normalized=False)]


@kind
def metaspace_first():
    return pieces(None, P.Metaspace(SPACE, "first", False), llama_decoder(), MORE), None


@kind
def metaspace_always():
    return pieces(None, P.Metaspace(SPACE, "always", True), D.Metaspace(SPACE, "always", True), MORE), None


@kind
def metaspace_never():
    return pieces(None, P.Metaspace(SPACE, "never", True), D.Metaspace(SPACE, "never", True), MORE), None


@kind
def gemma():
    more = [*special("<start_of_turn>", "<end_of_turn>"), AddedToken("\n\n", normalized=False),
            AddedToken("▁▁▁", normalized=False), AddedToken("<table>", normalized=False)]
    return pieces(N.Replace(" ", SPACE), P.Split(" ", "merged_with_previous"), gemma_decoder(), more), None


@kind
def gemma4():
    return pieces(N.Replace(" ", SPACE), split(r"[^\n]+|\n+"), gemma_decoder(), ignore_merges=True), None


@kind
def suffix():
    tokenizer = train_bpe(P.WhitespaceSplit(), N.NFKD(), 330, ["<unk>"],
                          {"end_of_word_suffix": "</w>", "unk_token": "<unk>"}, limit_alphabet=100)
    tokenizer.decoder = D.BPEDecoder("</w>")
    return tokenizer, None


@kind
def continuing():
    tokenizer = train_bpe(P.Whitespace(), None, 330, ["[UNK]"],
                          {"continuing_subword_prefix": "##", "unk_token": "[UNK]"}, limit_alphabet=100)
    tokenizer.decoder = D.WordPiece("##", False)
    return tokenizer, None


# ---- words and their pieces ----

def bert(norm, pre=None, prefix="##", cleanup=True, template=True):
    tokenizer = Tokenizer(M.WordPiece(unk_token="[UNK]", max_input_chars_per_word=20))
    tokenizer.normalizer = norm
    tokenizer.pre_tokenizer = pre or P.BertPreTokenizer()
    tokenizer.train_from_iterator(CORPUS, R.WordPieceTrainer(
        vocab_size=330, show_progress=False, limit_alphabet=110, continuing_subword_prefix=prefix,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    if template:
        around(tokenizer, ["[CLS]"], ["[SEP]"])
    else:
        tokenizer.post_processor = X.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.decoder = D.WordPiece(prefix=prefix, cleanup=cleanup)
    return tokenizer


@kind
def bert_uncased():
    return bert(N.BertNormalizer(True, True, None, True)), None


@kind
def bert_cased():
    return bert(N.BertNormalizer(False, True, True, False), cleanup=False, template=False), None


@kind
def mpnet():
    return bert(N.Sequence([N.NFKC(), N.Lowercase()]), P.Whitespace(), "@@"), None


@kind
def words():
    tokenizer = Tokenizer(M.WordLevel(unk_token="[UNK]"))
    tokenizer.normalizer = N.Sequence([N.NFD(), N.StripAccents(), N.Lowercase()])
    tokenizer.pre_tokenizer = P.Sequence([P.WhitespaceSplit(), P.Punctuation("isolated")])
    tokenizer.train_from_iterator(CORPUS, R.WordLevelTrainer(vocab_size=330, show_progress=False,
                                                             special_tokens=["[UNK]", "[SEP]"]))
    return tokenizer, None


# ---- the most likely pieces ----

RULES = [("ﬁ", "fi"), ("²", "2"), ("é", "e\u0301"), ("e\u0301", "é"), ("…", "..."), ("\u3000", " "), ("\xa0", " "), ("\t", " "),
         ("\n", " "), ("\u200b", ""), ("Ａ", "A"), ("Ｂ", "B"), ("ß", "ss"), ("가", "\u1100\u1161"), ("한", "\u1112\u1161\u11ab"),
         ("㎏", "kg"), ("\x01", ""), ("½", "1⁄2"), ("™", "TM"), ("İ", "i\u0307"), ("が", "か\u3099"), ("👍🏽", "👍")]


def sentencepiece_model(rules, **options):
    """(pieces with scores, kinds, the map of characters) of a model that is trained on the corpus."""
    import sentencepiece
    out = io.BytesIO()
    lines = [line[:500] for text in CORPUS for line in text.split("\n") if line.strip()]
    if rules:
        path = os.path.join(OUT, "rules.tsv")
        with open(path, "w", encoding="utf-8") as file:
            for source, target in rules:
                points = lambda text: " ".join(f"{ord(char):X}" for char in text)
                file.write(f"{points(source)}\t{points(target)}\n")
        options["normalization_rule_tsv"] = path
    else:
        options["normalization_rule_name"] = "identity"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=out, model_type="unigram", minloglevel=2, num_threads=1,
        character_coverage=0.98, **options)
    if rules:
        os.remove(path)
    return read_model(out.getvalue())


def read_model(model):
    pieces, kinds, table = [], [], b""
    for field, value in fields(model):
        if field == 1:
            piece = dict(fields(value))
            pieces.append((piece[1].decode(), struct.unpack("<f", piece[2])[0]))
            kinds.append(piece.get(3, 1))
        elif field == 3:
            table = dict(fields(value)).get(2, b"")
    return pieces, kinds, table


def unigram(norm, pre, decoder, rules=True, fallback=False, size=300):
    options = {"byte_fallback": True} if fallback else {}
    list_, types, table = sentencepiece_model(RULES if rules else None, vocab_size=size, **options)
    list_ = [(piece, round(score, 3)) for piece, score in list_]
    tokenizer = Tokenizer(M.Unigram(list_, types.index(2), fallback))
    parts = norm([N.Precompiled(table)] if rules else [])
    if parts:
        tokenizer.normalizer = N.Sequence(parts) if len(parts) > 1 else parts[0]
    if pre:
        tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoder
    return tokenizer


@kind
def xlmr():
    tokenizer = unigram(lambda norm: norm, P.Sequence([P.WhitespaceSplit(), P.Metaspace(SPACE, "always", True)]),
                        D.Metaspace(SPACE, "always", True))
    tokenizer.add_special_tokens(["<s>", "</s>", AddedToken("<mask>", lstrip=True, special=True, normalized=False)])
    around(tokenizer, ["<s>"], ["</s>"])
    return tokenizer, None


@kind
def t5():
    tokenizer = unigram(lambda norm: [*norm, N.Strip(left=False, right=True), N.Replace(Regex(" {2,}"), SPACE)],
                        P.Metaspace(SPACE, "always", True), D.Metaspace(SPACE, "always", True))
    tokenizer.add_special_tokens(["</s>"] + [AddedToken(f"<extra_id_{i}>", lstrip=True, rstrip=True, special=True)
                                             for i in range(3)])
    around(tokenizer, [], ["</s>"])
    return tokenizer, None


@kind
def albert():
    tokenizer = unigram(lambda norm: [N.Replace("``", '"'), N.Replace("''", '"'), N.NFKD(), N.StripAccents(),
                                      N.Lowercase(), *norm, N.Replace(Regex(" {2,}"), " ")],
                        P.Metaspace(SPACE, "first", True), D.Metaspace(SPACE, "first", True))
    tokenizer.add_special_tokens(["[CLS]", "[SEP]", AddedToken("[MASK]", lstrip=True, special=True)])
    around(tokenizer, ["[CLS]"], ["[SEP]"])
    return tokenizer, None


@kind
def unigram_bytes():
    tokenizer = unigram(lambda norm: norm, P.Metaspace(SPACE, "always", False),
                        D.Sequence([D.ByteFallback(), D.Metaspace(SPACE, "always", True)]), False, True, 420)
    return tokenizer, None


# ---- cases ----

def byte_places(text):
    places = [0]
    for char in text:
        places.append(places[-1] + len(char.encode()))
    return places


def edges_of(tokenizer):
    """How many tokens stand before and behind those of a text."""
    whole, bare = tokenizer.encode("a").ids, tokenizer.encode("a", add_special_tokens=False).ids
    before = next(i for i in range(len(whole)) if whole[i:i + len(bare)] == bare)
    return [before, len(whole) - before - len(bare)]


def case(tokenizer, text, edges, with_whole):
    ids = tokenizer.encode(text).ids
    bare = tokenizer.encode(text, add_special_tokens=False)
    assert bare.ids == ids[edges[0]:len(ids) - edges[1]], text
    places, last, offsets = byte_places(text), (0, 0), []
    for begin, end in bare.offsets:
        at = places[begin], places[end]
        offsets.append(0 if at == last else at[1] - at[0] if at[0] == last[1] and at[1] > at[0] else at)
        last = at
    decoded = tokenizer.decode(ids, skip_special_tokens=True)
    whole = [tokenizer.decode(ids, skip_special_tokens=False)] if with_whole else []
    return [text, ids, offsets, None if decoded == text else decoded, *whole]


def write(path, data):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(data, file, ensure_ascii=False, separators=(",", ":"))
        file.write("\n")


def make(name):
    tokenizer, edit = KINDS[name]()
    path = os.path.join(OUT, name)
    data = json.loads(tokenizer.to_str())
    if edit:
        edit(data)
    write(path + ".json", data)
    tokenizer = Tokenizer.from_file(path + ".json")
    added = [token["content"] for token in data["added_tokens"]]
    edges = edges_of(tokenizer)
    results = [case(tokenizer, text, edges, text not in texts.COMMON) for text in texts.of(name, added)]
    write(path + ".cases.json", {"edges": edges, "cases": results})
    size = os.path.getsize(path + ".json"), os.path.getsize(path + ".cases.json")
    print(f"{name}: {tokenizer.get_vocab_size()} tokens, {len(results)} texts, {size[0]} and {size[1]} bytes")


if __name__ == "__main__":
    os.makedirs(OUT, exist_ok=True)
    for each in sys.argv[1:] or KINDS:
        make(each)
