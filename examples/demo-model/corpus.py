"""The closed little world the demo model is trained on.

Owns every fact and sentence template. A sentence is a pair (prompt, answer): the prompt alone must
determine the answer, either from the facts below or from a statement earlier in the same document.
Everything is drawn from a caller's random.Random, so a seed fixes the text.
"""

import math

CAPITALS = dict(pair.split(":") for pair in (
    "Germany:Berlin France:Paris Spain:Madrid Portugal:Lisbon Italy:Rome Greece:Athens "
    "Austria:Vienna Switzerland:Bern Poland:Warsaw Hungary:Budapest Romania:Bucharest "
    "Bulgaria:Sofia Serbia:Belgrade Croatia:Zagreb Slovenia:Ljubljana Slovakia:Bratislava "
    "Czechia:Prague Ukraine:Kyiv Finland:Helsinki Sweden:Stockholm Norway:Oslo "
    "Denmark:Copenhagen Iceland:Reykjavik Ireland:Dublin England:London Scotland:Edinburgh "
    "Wales:Cardiff Belgium:Brussels Estonia:Tallinn Latvia:Riga Lithuania:Vilnius Turkey:Ankara "
    "Albania:Tirana Malta:Valletta Cyprus:Nicosia Egypt:Cairo Morocco:Rabat Tunisia:Tunis "
    "Libya:Tripoli Kenya:Nairobi Ghana:Accra Senegal:Dakar Uganda:Kampala Zambia:Lusaka "
    "Angola:Luanda Namibia:Windhoek Mali:Bamako Sudan:Khartoum Russia:Moscow China:Beijing "
    "Japan:Tokyo India:Delhi Nepal:Kathmandu Mongolia:Ulaanbaatar Vietnam:Hanoi "
    "Thailand:Bangkok Indonesia:Jakarta Iran:Tehran Iraq:Baghdad Jordan:Amman "
    "Lebanon:Beirut Qatar:Doha Oman:Muscat Canada:Ottawa Cuba:Havana Jamaica:Kingston "
    "Peru:Lima Chile:Santiago Ecuador:Quito Colombia:Bogota Venezuela:Caracas "
    "Uruguay:Montevideo Australia:Canberra").split())

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = ("January February March April May June July August September October November "
          "December").split()
NUMBERS = ("zero one two three four five six seven eight nine ten eleven twelve").split()
OPPOSITES = [pair.split(":") for pair in (
    "hot:cold big:small high:low long:short fast:slow old:young rich:poor wet:dry open:closed "
    "light:dark good:bad happy:sad full:empty hard:soft early:late left:right up:down "
    "inside:outside true:false strong:weak clean:dirty wide:narrow thick:thin near:far "
    "loud:quiet sweet:bitter first:last day:night black:white push:pull win:lose "
    "begin:end buy:sell love:hate war:peace north:south east:west").split()]
SOUNDS = dict(pair.split(":") for pair in (
    "dog:woof cat:meow cow:moo sheep:baa duck:quack pig:oink horse:neigh lion:roar bee:buzz "
    "snake:hiss frog:croak owl:hoot wolf:howl hen:cluck mouse:squeak donkey:bray crow:caw "
    "dove:coo").split())
YOUNG = dict(pair.split(":") for pair in (
    "dog:puppy cat:kitten cow:calf sheep:lamb duck:duckling pig:piglet horse:foal lion:cub "
    "hen:chick goat:kid deer:fawn goose:gosling frog:tadpole owl:owlet swan:cygnet "
    "kangaroo:joey").split())
COLOURS_OF = dict(pair.split(":") for pair in (
    "grass:green snow:white coal:black blood:red milk:white gold:yellow chocolate:brown "
    "lemon:yellow tomato:red sky:blue leaf:green banana:yellow cherry:red night:black "
    "salt:white carrot:orange sea:blue elephant:grey flamingo:pink raven:black moss:green "
    "bread:brown strawberry:red plum:purple").split())

NAMES = ("Anna Tom Maria Paul Lena Max Eva Jack Nina Oscar Sara Leo Julia Adam Emma Felix Clara "
         "Hugo Alice Simon Laura Peter Rosa David Ella Martin Grace Victor Helen Bruno Nora Karl "
         "Ida Robert Mia Frank").split()
COLOURS = "red blue green yellow black white brown pink grey purple".split()
THINGS = ("ball cup hat book bike lamp car coat pen kite boat drum flag bag bell chair clock "
          "table plate spoon shirt scarf ring phone").split()
LOCKED = ("door gate safe garage cellar office locker garden tower bank barn vault school "
          "library museum hotel train ship").split()
HIDDEN = ("key coin letter map ticket stone button knife rope candle pearl photo watch "
          "stamp needle whistle").split()
PLACES = ("box drawer basket kitchen attic pocket bottle cupboard suitcase jar bathroom tent "
          "bucket shed wallet chest").split()
FOODS = ("bread soup rice cheese apples honey fish cake nuts pears grapes pizza salad eggs "
         "butter tea coffee juice").split()
JOBS = ("doctor teacher farmer pilot baker painter singer lawyer sailor nurse writer dancer "
        "driver judge cook tailor").split()
FILLERS = ("The weather was fine all {d}.", "Nothing else happened on {d}.",
           "The shop is closed on {d}.", "It rained a little in {m}.",
           "The train was late again in {m}.", "We met at the market on {d}.",
           "There was music in the street.", "The children played in the garden.",
           "Everyone went home in the evening.", "The river was calm that {d}.")
WORDS = sorted(set(THINGS + LOCKED + HIDDEN + FOODS + list(SOUNDS) + list(COLOURS_OF) + JOBS))


def pick(rng, seq):
    return seq[int(rng.random() * len(seq))]


# --- sentences answered from the world itself -------------------------------------------------

def capital(rng):
    country = pick(rng, COUNTRIES)
    city = CAPITALS[country]
    if rng.random() < 0.75:
        return f"The capital of {country} is", city
    return f"{city} is the capital of", country


def calendar(rng):
    ring, unit = (DAYS, "day") if rng.random() < 0.4 else (MONTHS, "month")
    i = int(rng.random() * len(ring))
    step, word = pick(rng, ((1, "after"), (-1, "before")))
    return f"The {unit} {word} {ring[i]} is", ring[(i + step) % len(ring)]


def arithmetic(rng):
    total = int(rng.random() * 21)
    part = int(rng.random() * (total + 1))
    if rng.random() < 0.6:
        return f"{part} + {total - part} =", str(total)
    return f"{total} - {part} =", str(total - part)


def opposite(rng):
    pair = pick(rng, OPPOSITES)
    a, b = pair if rng.random() < 0.5 else pair[::-1]
    return f"The opposite of {a} is", b


def animal(rng):
    if rng.random() < 0.5:
        name = pick(rng, ANIMALS_SOUND)
        return pick(rng, (f"A {name} says", f"The sound of a {name} is")), SOUNDS[name]
    name = pick(rng, ANIMALS_YOUNG)
    return pick(rng, (f"A young {name} is a", f"A baby {name} is called a")), YOUNG[name]


def colour(rng):
    thing = pick(rng, COLOURED)
    return f"The colour of {thing} is", COLOURS_OF[thing]


def counting(rng):
    n = 4  # always: otherwise a full stop would be as right as the next number
    if rng.random() < 0.35:
        start = int(rng.random() * (len(NUMBERS) - n))
        seq = NUMBERS[start:start + n + 1]
    else:
        step = pick(rng, (1, 1, 2, 5, 10))
        first = step * int(rng.random() * 10)
        seq = [str(first + step * i) for i in range(n + 1)]
    return "Count: " + " ".join(seq[:-1]), seq[-1]


def first_letter(rng):
    word = pick(rng, WORDS)
    return f"The first letter of {word} is", word[0]


COUNTRIES = list(CAPITALS)
ANIMALS_SOUND, ANIMALS_YOUNG, COLOURED = list(SOUNDS), list(YOUNG), list(COLOURS_OF)
# Repeated by how many facts there are to learn.
WORLD = (capital, capital, capital, calendar, arithmetic, arithmetic, opposite, animal, colour,
         counting, first_letter)


# --- statements that hold only in one document, and the questions about them ------------------

N_RELATIONS = 7


class Document:
    """Statements made so far in one document.

    Each person or thing has one statement; in the style "crowded", one of each relation; in the
    style "single" each relation has one statement.
    """

    def __init__(self, rng, style):
        self.rng = rng
        self.style = style
        self.used = set()
        self.questions = []  # one list of (prompt, answer) phrasings for each statement
        self.unasked = []    # those of self.questions not repeated yet

    def state(self):
        """Makes up a new statement and returns its sentence; None if the key drawn is taken."""
        rng = self.rng
        relation = int(rng.random() * N_RELATIONS)
        key = pick(rng, (NAMES, LOCKED, HIDDEN, NAMES, NAMES, NAMES, NAMES)[relation])
        taken = {"crowded": (relation, key), "single": relation}.get(self.style, key)
        if taken in self.used:
            return None
        self.used.add(taken)
        if relation == 0:
            shade, thing = pick(rng, COLOURS), pick(rng, THINGS)
            text = f"{key} has a {shade} {thing}"
            asks = [(f"{key} has a", f"{shade} {thing}"), (f"{key} has a {shade}", thing)]
        elif relation == 1:
            digits = " ".join(str(int(rng.random() * 10)) for _ in range(3))
            text = f"The code of the {key} is {digits}"
            asks = [(f"The code of the {key} is", digits)]
        elif relation == 2:
            place = pick(rng, PLACES)
            text = f"The {key} is in the {place}"
            asks = [(f"The {key} is in the", place)]
        elif relation == 3:
            city = CAPITALS[pick(rng, COUNTRIES)]
            text = f"{key} lives in {city}"
            asks = [(f"{key} lives in", city)]
        elif relation == 4:
            food = pick(rng, FOODS)
            text = f"{key} likes {food}"
            asks = [(f"{key} likes", food)]
        elif relation == 5:
            age = str(10 + int(rng.random() * 80))
            text = f"The age of {key} is {age}"
            asks = [(f"The age of {key} is", age)]
        else:
            job = pick(rng, JOBS)
            text = f"{key} works as a {job}"
            asks = [(f"{key} works as a", job)]
        self.questions.append(asks)
        self.unasked.append(asks)
        return text + "."

    def recall_once(self):
        return pick(self.rng, self.unasked.pop(int(self.rng.random() * len(self.unasked))))

    def recall(self):
        return pick(self.rng, pick(self.rng, self.questions))


def filler(rng):
    return pick(rng, FILLERS).format(d=pick(rng, DAYS), m=pick(rng, MONTHS))


def make_document(rng, n_words, style="single"):
    """Returns (sentences, prompt, answer), about n_words words long in all.

    Styles: "single", as in prompts.jsonl, with at most one statement of each relation, repeated
    once or not at all; "drill" with up to 12 statements and many repetitions; "crowded" with any
    number of statements and keys used often.

    sentences is a list of (text, answer or None): complete sentences, where answer is the tail
    that was determined by what stood before it. prompt is the unfinished last sentence.
    """
    doc = Document(rng, style)
    sentences, length = [], 0
    share = 0.15 + 0.7 * rng.random()  # of statements; differs from document to document
    limit = {"crowded": 1000, "single": N_RELATIONS}.get(style, 2 + int(rng.random() * 11))
    asked = 0.9 if style == "drill" else 0.65
    while length < n_words - 5:
        draw = rng.random()
        answer = None
        if draw < share and len(doc.questions) < limit:
            text = doc.state()
            if text is None:
                continue
        elif rng.random() < 0.1:
            text = filler(rng)
        else:
            known = rng.random() < asked
            if known and style == "drill" and doc.questions:
                text, answer = doc.recall()
            elif known and doc.unasked:
                text, answer = doc.recall_once()
            else:
                text, answer = pick(rng, WORLD)(rng)
            text = f"{text} {answer}."
        sentences.append((text, answer))
        length += text.count(" ") + 1
    if doc.questions and rng.random() < 0.7:
        prompt, answer = doc.recall()
    else:
        prompt, answer = pick(rng, WORLD)(rng)
    return sentences, prompt, answer


def log_uniform(rng, low, high):
    return math.exp(math.log(low) + rng.random() * math.log(high / low))
