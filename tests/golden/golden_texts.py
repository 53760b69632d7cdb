"""Phrases that small tokenizers are trained on, and the texts that they are asked about; all made up."""
import random

PHRASES = """The packer put three short prompts into one row, and nobody noticed.
She said it's late; they'll wait, we've time, I'm sure, you're right, he'd know, don't panic!
Le garçon a mangé un gâteau très sucré à Noël, déjà naïf et rêveur.
Größere Bäume stehen südlich der Straße; übrigens schön müßig.
El niño pequeño soñó con un pingüino. ¿Qué pasó ayer? ¡Nada!
Маленький ёжик нашёл в траве синий зонтик и унёс его домой.
Ο μικρός γάτος κοιμάται πάνω στο ζεστό ράφι κάθε πρωί.
الطفل الصغير وجد مفتاحا قديما تحت الشجرة الكبيرة.
הילדה הקטנה ציירה סירה כחולה על הקיר הלבן.
छोटी लड़की ने आँगन में एक नीली पतंग देखी।
ছোট ছেলেটি নদীর ধারে একটি লাল নৌকা পেল।
小さな猫が青い傘の下で静かに眠っていた。カタカナもある。
小猫在蓝色的雨伞下面安静地睡着了，没有人看见。
작은 고양이가 파란 우산 아래에서 조용히 잠들었다.
แมวตัวเล็กนอนหลับอยู่ใต้ร่มสีฟ้า
Con mèo nhỏ ngủ yên dưới chiếc ô màu xanh.
Küçük ışık İzmir'de söndü, ığdır ağacı yeşerdi.
The kettle weighs 12 kg, costs 1,234.50 and boils at 100 degrees 😀 👍🏽.""".split("\n")

# What is rare in prose, and where tokenizers part ways.
COMMON = [
    "", " ", "  ", "\n", "\t", "The", "the  end ", "a \n b", "x\r\n\r\ny", "   three", "end   ",
    "a\u00a0b\u3000c", "\u2028\u2009\x85\x1c", "zero\u200bwidth\ufeff", "tab\tand\vand\f", "Hello, world!",
    "it's IT'S we'Re I'ſ don't", "n't 's ' ''", "1234567 3.14 ½² ①", "١٢٣ १२३ ５６",
    "naïve e\u0301 é Å ﬁ ㎏ …", "İstanbul ıI ǅ ΑΣ ẞß", "q\u0323\u0307 q\u0307\u0323 \u0301", "中文。カひ",
    "한 \u1112\u1161\u11ab 가", "हिं क्ष ়", "แมว", "שָׁם ם", "مُح ١", "Ёжик в",
    "😀👍🏽👩‍👧🇩🇪❤️", "\U0001f9ff\U000e0041\U0010ffff", "\x00\x01\x1b\x7f", "\ufffd\ufffe\u0378\ue000",
    "snake_case camelCase HTTPServer2", "if (x<=10) { y += '\\n'; }  // z", "https://a.example/b?c=d#e", "a@@b ##c </w> <unk>",
    "▁ ▁▁a Ġb Ċ <0x0A><0xE2>", "!!!...--==##", "ééé zqxj", "#~|.-_", "New York word, abc ABC", "New  York's lead trail  x",
    "<|im_start|>a", "aaaaaaaaaaaaaaaaa", "          ", "\n\n\n\n\n", "``quoted'' \"text\"",
]
SCRAPS = ["a", "The", " pack", "ing", "é", "e\u0301", "中", "가", "😀", "1", "23", " ", "  ", "\n", "\t", "'s", "'LL", ".", "!", "-", "_",
          "\u0301", "\u200d", "\xa0", "\u3000", "ß", "İ", "Σ", "ﬁ", "▁", "Ġ", "\x00", "ж", "क", "ا", "/", "{", "\r\n"]


def of(name, added):
    """The texts for a tokenizer: most of the common ones, mixtures, and its own added tokens spelled out."""
    rng = random.Random(name)
    out = [text for text in COMMON if not text or rng.random() < 0.85]
    for _ in range(4):
        out.append("".join(rng.choice(SCRAPS) for _ in range(rng.randint(2, 9))))
    pads = ["", "", " ", "  ", "\n", "a", "_", "1", ".", "é", "\u0301", "\xa0"]
    for i in range(8 if added else 2):
        out.append("".join(rng.choice(pads) + spelled(rng, added) + rng.choice(pads) for _ in range(1 + i % 3)))
    return out


def spelled(rng, added):
    """A token, or what nearly is one."""
    token = rng.choice(added) if added else rng.choice(SCRAPS)
    kind = rng.random()
    if kind < 0.1:
        return token[:-1]
    if kind < 0.2:
        return token[1:]
    if kind < 0.3:
        return token.upper()
    if kind < 0.4:
        return token + token
    return token
