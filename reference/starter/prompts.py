"""A grammar of prompts: `sample` makes a text as a user might type it, with the recipe of the look that it asks for.

A recipe is 17 numbers. The first ten say how much of each style; what they leave of 1 is the photograph itself.
The other seven modify whatever the styles made.
"""

import random
import re
from collections.abc import Callable

from everyday import (
    ADJECTIVES,
    COMMON,
    EVEN,
    FILLER,
    HALF,
    MOODS,
    PLACES,
    SENTENCES,
    STRONG,
    SUBJECTS,
    TINTS,
    UNEVEN,
    WEAK,
)
from lexicon import ABROAD, GENERIC, PHOTO, WORDING, phrases
from paraphrases import is_held_out

STYLES = ("oil", "watercolour", "pencil", "neon", "anime", "hdr", "impressionist", "fantasy", "ukiyoe", "pop")
# ink 0 to 1; a tint's three parts sum to about 0; saturation, light and contrast from -1 to 1, where 0 changes nothing.
MODIFIERS = ("ink", "tint_r", "tint_g", "tint_b", "saturation", "light", "contrast")
NAMES = (*STYLES, *MODIFIERS)
RECIPE = len(NAMES)

# What a prompt gets that asks for no look at all, and one that asks for a painting of no particular kind.
DEFAULT = {"oil": 0.45, "impressionist": 0.15}
PAINTING = {"oil": 0.7, "impressionist": 0.3}

# What colours and moods reach without a word of degree; colours that only describe a thing in the picture reach less.
ORDINARY = 0.75
OF_A_THING = 0.25

Recipe = dict[str, float]

# The obvious prompts: all of them must be understood.
CANONICAL: dict[str, list[str]] = {
    "oil": [
        "oil painting",
        "an oil painting",
        "oil on canvas",
        "oil painting of a woman",
        "in the style of Rembrandt",
        "a portrait, oil painting, highly detailed",
    ],
    "watercolour": [
        "watercolour",
        "a watercolour painting",
        "watercolor",
        "watercolor painting of a cat",
        "aquarelle",
        "a lighthouse at sea, watercolour",
    ],
    "pencil": [
        "pencil sketch",
        "a pencil drawing",
        "charcoal drawing",
        "pencil sketch of an old man",
        "graphite drawing on paper",
        "a castle, pencil sketch",
    ],
    "neon": [
        "cyberpunk neon city",
        "cyberpunk",
        "neon lights",
        "cyberpunk neon city at night, blade runner",
        "a woman, cyberpunk style",
        "synthwave",
    ],
    "anime": [
        "anime",
        "anime film still",
        "studio ghibli",
        "anime portrait of a girl",
        "in the style of Studio Ghibli",
        "a village, anime style",
    ],
    "hdr": [
        "HDR photograph",
        "HDR",
        "HDR photo of a mountain",
        "high dynamic range photo",
        "a street, HDR photography",
        "hdr, highly detailed",
    ],
    "impressionist": [
        "impressionist painting",
        "impressionism",
        "an impressionist painting of a garden",
        "in the style of Monet",
        "Van Gogh",
        "starry night by Van Gogh",
    ],
    "fantasy": [
        "dark fantasy",
        "dark fantasy painting",
        "dark fantasy art, highly detailed",
        "a castle, dark fantasy",
        "gothic fantasy portrait of a knight",
        "lord of the rings",
    ],
    "ukiyoe": [
        "ukiyo-e woodblock print",
        "ukiyo-e",
        "japanese woodblock print",
        "ukiyo-e print of a mountain",
        "in the style of Hokusai",
        "a boat at sea, ukiyo-e",
    ],
    "pop": [
        "pop art",
        "pop art portrait",
        "Andy Warhol",
        "pop art of a cat",
        "comic book",
        "a man, pop art style, bright",
    ],
}


def sample(rng: random.Random) -> tuple[str, list[float]]:
    """A prompt and its recipe. Never one of the held-out paraphrases."""
    while True:
        (kind,) = rng.choices(list(KINDS), KINDS.values())
        text, recipe = kind(rng)
        text = handwriting(rng, text)
        if len(text) < 280 and not is_held_out(text):
            return text, vector(recipe)


def vector(recipe: Recipe) -> list[float]:
    """The 17 numbers, each within its range, styles summing to at most 1."""
    total = max(1.0, sum(recipe.get(name, 0.0) for name in STYLES))
    styles = [max(0.0, recipe.get(name, 0.0)) / total for name in STYLES]
    ink, *rest = (recipe.get(name, 0.0) for name in MODIFIERS)
    return [*styles, min(max(ink, 0.0), 1.0), *(min(max(value, -1.0), 1.0) for value in rest)]


STYLE_STRENGTHS = ((WEAK, 0.4), (HALF, 0.5), (STRONG, 1.0))
# Factors of a modifier's ordinary strength; what exceeds its range is cut.
MODIFIER_STRENGTHS = ((WEAK, 0.4), (STRONG, 1 / ORDINARY))


def pick(rng: random.Random, *choices: str) -> str:
    return rng.choice(choices)


def article(text: str) -> str:
    return ("an " if text[:1].lower() in "aeiou" else "a ") + text


def filled(rng: random.Random, text: str) -> str:
    """The text with praise and technical words behind it, as people append them."""
    return ", ".join([text, *rng.choices(FILLER, k=rng.randint(1, 4))])


def tint(name: str, strength: float) -> Recipe:
    return dict(zip(("tint_r", "tint_g", "tint_b"), (strength * part for part in TINTS[name]), strict=True))


def added(*recipes: Recipe) -> Recipe:
    total: Recipe = {}
    for recipe in recipes:
        for name, value in recipe.items():
            total[name] = total.get(name, 0.0) + value
    return total


# Subjects.


def subject(rng: random.Random) -> tuple[str, Recipe]:
    """Something to see in the picture, sometimes with a colour of its own."""
    thing, recipe = rng.choice(SUBJECTS), {}
    if rng.random() < 0.3:
        thing = f"{rng.choice(ADJECTIVES)} {thing}"
    if rng.random() < 0.08:
        colour = rng.choice(list(TINTS))
        thing, recipe = f"{colour} {thing}", tint(colour, OF_A_THING)
    if not thing.startswith(("my ", "me", "us", "a ", "people")):
        thing = rng.choice((thing, article(thing), article(thing), f"the {thing}", f"my {thing}", f"two {thing}"))
    if rng.random() < 0.2:
        thing += " " + pick(rng, "and", "with", "near", "behind") + " " + article(rng.choice(SUBJECTS))
    if rng.random() < 0.35:
        thing += " " + rng.choice(PLACES)
    return thing, recipe


def of_a_subject(rng: random.Random, text: str) -> tuple[str, Recipe]:
    thing, recipe = subject(rng)
    text = pick(rng, f"{article(text)} of {thing}", f"{text} of {thing}", f"{thing}, {text}", f"{text}, {thing}")
    return text, recipe


def babble(rng: random.Random) -> str:
    """Common words in no order: what a prompt holds beside what matters."""
    return " ".join(rng.choices(COMMON, k=rng.randint(1, 6)))


# Colours and moods.

COLOURED = phrases(
    """{} tones, {} tint, in {}, all in {}, {} light, shades of {}, in shades of {}, {} palette, {} colours, {} hue,
    {} colour cast, with a {} glow, mostly {}, {} filter, {} mood, {}, everything {}, {} atmosphere, {} all over"""
)


BASIC = ("red", "orange", "yellow", "gold", "green", "teal", "blue", "purple", "pink", "sepia")


def colour(rng: random.Random) -> tuple[str, str, Recipe]:
    name = rng.choice(BASIC) if rng.random() < 0.5 else rng.choice(list(TINTS))
    meaning = tint(name, ORDINARY)
    if name == "sepia":
        meaning["saturation"] = -0.4
    if rng.random() < 0.1:
        return f"{name}ish", f"{name}ish tint", {key: value * 0.6 for key, value in meaning.items()}
    shaded = pick(rng, "", "", "", "light ", "pale ", "bright ", "dark ", "deep ") + name
    return shaded + pick(rng, "", "", "", " tinted", "-tinted", " toned"), rng.choice(COLOURED).format(shaded), meaning


def mood(rng: random.Random) -> tuple[str, str, Recipe]:
    name, value, adjectives, tails = rng.choice(MOODS)
    return rng.choice(phrases(adjectives)), rng.choice(phrases(tails)), {name: value}


def modifier(rng: random.Random) -> tuple[str, str, Recipe]:
    """A word to stand before a noun, a phrase to stand behind a comma, and what both mean."""
    before, behind, meaning = colour(rng) if rng.random() < 0.4 else mood(rng)
    if rng.random() < 0.2:
        degrees, scale = rng.choice(MODIFIER_STRENGTHS)
        before, behind = rng.choice(degrees).format(before), rng.choice(degrees).format(behind)
        meaning = {name: value * scale for name, value in meaning.items()}
    return before, behind, meaning


def with_mood(rng: random.Random, text: str, recipe: Recipe) -> tuple[str, Recipe]:
    """The prompt with a colour or mood attached to it as a whole."""
    before, behind, meaning = modifier(rng)
    text = pick(
        rng,
        f"{before} {text}",
        f"{before} {text}",
        f"{text}, {behind}",
        f"{text}, {behind}",
        f"{text} {behind}",
        f"{text} with {behind}",
        f"{behind}, {text}",
        f"{text}, {before}",
        f"{text} but {before}",
        f"{before}, {text}",
        f"{text} and {before}",
        f"{text}, make it {before}",
    )
    return text, added(recipe, meaning)


# Styles.

KIND_OF_PICTURE = phrases("painting, picture, image, artwork, art, scene, portrait, illustration, version, print, look")


def short(rng: random.Random, style: str) -> str:
    """A few words that name the style, and can stand in a sentence as a noun."""
    words = WORDING[style]
    adjective, name = rng.choice(words.adjectives), rng.choice(words.names)
    noun = rng.choice(words.nouns)
    return pick(rng, noun, noun, noun, f"{adjective} {rng.choice(KIND_OF_PICTURE)}", adjective, name, f"{name} style")


BY_NAME = phrases(
    """in the style of {}, in the style of {}, in {} style, {} style, by {}, like {}, in the manner of {}, {}, {},
    as {} would have done it, inspired by {}, {} vibes, {} aesthetic, painting by {}, picture by {}, art by {},
    something by {}, drawing by {}, image by {}, after {}, {} inspired, think {}, reminiscent of {}"""
)


def described(rng: random.Random, style: str) -> str:
    """The style as a description of the picture, without a subject."""
    words = WORDING[style]
    noun, adjective, detail = rng.choice(words.nouns), rng.choice(words.adjectives), rng.choice(words.details)
    named, made = rng.choice(BY_NAME).format(rng.choice(words.names)), rng.choice(words.made)
    return pick(
        rng,
        *(noun, article(noun), article(noun), f"{pick(rng, 'like', 'as', 'similar to', 'looks like')} {article(noun)}"),
        *(adjective, f"{adjective} style", f"{adjective} {rng.choice(KIND_OF_PICTURE)}"),
        *(named, named, named, named, named),
        *(detail, f"with {detail}", f"{detail}, {rng.choice(words.details)}"),
        *(made, f"as if {made}", f"{pick(rng, 'looks', 'looking')} like it was {made}"),
    )


def plain_style(rng: random.Random, style: str) -> str:
    """One style, with or without a subject, in the orders people use."""
    text, noun, (thing, _) = described(rng, style), short(rng, style), subject(rng)
    adjective = rng.choice(WORDING[style].adjectives)
    return pick(
        rng,
        *(text, text, noun, f"{text}, {thing}", f"{thing}, {text}", f"{thing}, {text}", f"{thing} {text}"),
        *(f"{noun} of {thing}", f"{article(noun)} of {thing}", f"{article(noun)} of {thing}", f"{noun} {thing}"),
        *(f"{adjective} {thing}", f"{adjective} {rng.choice(SUBJECTS)}", f"{thing} as {article(noun)}"),
        f"{adjective} {rng.choice(KIND_OF_PICTURE)} of {thing}",
        *(f"{noun}, {text}", f"{text}, {described(rng, style)}", f"{thing}, {described(rng, style)}, {text}"),
    )


def asked(rng: random.Random, style: str) -> str:
    """The style in a sentence."""
    words, noun = WORDING[style], short(rng, style)
    by_name, made = f"something by {rng.choice(words.names)}", f"it was {rng.choice(words.made)}"
    what = pick(rng, article(noun), article(noun), noun, rng.choice(words.adjectives), by_name, made)
    text = rng.choice(SENTENCES).format(what)
    return f"{text}, {rng.choice(words.details)}" if rng.random() < 0.1 else text


def evidence(rng: random.Random, style: str) -> str:
    """Words of the style strewn among others: it is the words that matter, not their order."""
    words = WORDING[style]
    sources = (words.nouns, words.adjectives, words.names, words.details, words.details, words.made)
    parts = [rng.choice(rng.choice(sources)) for _ in range(rng.randint(1, 3))]
    parts += [rng.choice((babble(rng), subject(rng)[0], rng.choice(FILLER))) for _ in range(rng.randint(0, 3))]
    rng.shuffle(parts)
    if rng.random() < 0.2:
        loose = " ".join(parts).split()
        at = rng.randrange(len(loose) + 1)
        return " ".join([*loose[:at], babble(rng), *loose[at:]])
    return pick(rng, ", ", " ", " ").join(parts)


def one_style(rng: random.Random) -> tuple[str, Recipe]:
    style = rng.choice(STYLES)
    text, recipe = rng.choice((plain_style, plain_style, asked, evidence))(rng, style), {style: 1.0}
    if rng.random() < 0.15:
        degrees, strength = rng.choice(STYLE_STRENGTHS)
        text, recipe = rng.choice(degrees).format(short(rng, style)), {style: strength}
        thing, _ = subject(rng)
        text = pick(rng, text, text, f"make it {text}", f"{text}, {thing}", f"{thing}, {text}", f"only {text}")
    while rng.random() < 0.4:
        text, recipe = with_mood(rng, text, recipe)
    return (filled(rng, text) if rng.random() < 0.2 else text), recipe


def two_styles(rng: random.Random) -> tuple[str, Recipe]:
    first, second = rng.sample(STYLES, 2)
    templates, share = (EVEN, 0.5) if rng.random() < 0.65 else (UNEVEN, 0.75)
    names = short(rng, first), short(rng, second)
    if rng.random() < 0.2:
        names = article(names[0]), article(names[1])
    text = rng.choice(templates).format(*names)
    recipe = {first: share, second: 1 - share}
    if rng.random() < 0.3:
        thing, _ = subject(rng)
        text = pick(rng, f"{text}, {thing}", f"{thing}, {text}", f"{text} of {thing}", f"{thing} as {text}")
    if rng.random() < 0.2:
        text = rng.choice(SENTENCES).format(text)
    return with_mood(rng, text, recipe) if rng.random() < 0.2 else (text, recipe)


REFUSALS = phrases(
    "{0} not {1}, {0} and no {1}, {0} instead of {1}, {0} without any {1}, not {1} but {0}, no {1} just {0}"
)


def refused(rng: random.Random) -> tuple[str, Recipe]:
    """One style wanted and another not."""
    wanted, other = rng.sample(STYLES, 2)
    return rng.choice(REFUSALS).format(short(rng, wanted), short(rng, other)), {wanted: 1.0}


# No style.


def photograph(rng: random.Random) -> tuple[str, Recipe]:
    text, recipe = rng.choice(PHOTO), {}
    if rng.random() < 0.5:
        text, recipe = of_a_subject(rng, text)
    elif rng.random() < 0.3:
        text = pick(rng, rng.choice(SENTENCES).format(text), f"{text}, {rng.choice(PHOTO)}", f"{babble(rng)} {text}")
    if rng.random() < 0.35:
        text, recipe = with_mood(rng, text, recipe)
    return (filled(rng, text) if rng.random() < 0.2 else text), recipe


def painting(rng: random.Random) -> tuple[str, Recipe]:
    text, recipe = rng.choice(GENERIC), PAINTING
    if rng.random() < 0.5:
        text, of_thing = of_a_subject(rng, text)
        recipe = added(recipe, of_thing)
    elif rng.random() < 0.5:
        text = rng.choice(SENTENCES).format(text)
    return with_mood(rng, text, recipe) if rng.random() < 0.3 else (text, recipe)


def no_look(rng: random.Random) -> tuple[str, Recipe]:
    """A subject, a mood or any words at all, but no word of how it should be made."""
    kind = rng.choices((noise, mood_alone, subject_alone), (0.4, 0.2, 0.4))[0]
    text, recipe = kind(rng)
    return text, added(DEFAULT, recipe)


def noise(rng: random.Random) -> tuple[str, Recipe]:
    letters = rng.choices("etaoinshrdlucmfwypvbgkqjxz", k=rng.randint(2, 12))
    codes = [rng.choice((rng.randint(33, 126), rng.randint(160, 0x2FFF))) for _ in range(rng.randint(1, 9))]
    nothing = pick(rng, "", " ", "?", "...", "a", "!!!", "\U0001f600", "1", "-", "\u5c71")
    text = pick(rng, babble(rng), babble(rng), babble(rng), "".join(letters), "".join(map(chr, codes)), nothing)
    return text, {}


def mood_alone(rng: random.Random) -> tuple[str, Recipe]:
    before, behind, meaning = modifier(rng)
    text = pick(rng, before, behind, f"make it {before}", f"{before} please", f"more {before}", f"i want {before}")
    return text, meaning


def subject_alone(rng: random.Random) -> tuple[str, Recipe]:
    text, recipe = subject(rng)
    if rng.random() < 0.3:
        text = rng.choice(SENTENCES).format(text)
    if rng.random() < 0.2:
        text, recipe = with_mood(rng, text, recipe)
    return (filled(rng, text) if rng.random() < 0.3 else text), recipe


def canonical(rng: random.Random) -> tuple[str, Recipe]:
    style = rng.choice(STYLES)
    return rng.choice(CANONICAL[style]), {style: 1.0}


def abroad(rng: random.Random) -> tuple[str, Recipe]:
    style = rng.choice(STYLES)
    text = rng.choice(phrases(ABROAD[style]))
    return pick(rng, text, text, f"{text}, {rng.choice(SUBJECTS)}", f"{rng.choice(SUBJECTS)} {text}"), {style: 1.0}


KINDS: dict[Callable[[random.Random], tuple[str, Recipe]], float] = {
    one_style: 0.5,
    two_styles: 0.15,
    refused: 0.03,
    photograph: 0.08,
    painting: 0.03,
    no_look: 0.15,
    canonical: 0.04,
    abroad: 0.02,
}


# Handwriting: spelling, case, punctuation and slips.

AMERICAN = ("colour", "color"), ("grey", "gray"), ("centre", "center"), ("harbour", "harbor"), ("mould", "mold")


def handwriting(rng: random.Random, text: str) -> str:
    if rng.random() < 0.5:
        for british, american in AMERICAN:
            text = re.sub(british, american, text, flags=re.IGNORECASE)
    if rng.random() < 0.05:
        text = text.replace("-", pick(rng, " ", ""))
    if rng.random() < 0.1:
        text = text.replace(",", "")
    if rng.random() < 0.08:
        text = typo(rng, text)
    text = rng.choice((str, str, str, str.lower, str.lower, str.capitalize, str.title, str.upper))(text)
    return text + pick(rng, "", "", "", "", "", "", "", ".", "!", " ", "...", " please")


def typo(rng: random.Random, text: str) -> str:
    """One slip inside a longer word: two letters swapped, one lost, doubled or hit beside."""
    words = text.split(" ")
    long = [i for i, word in enumerate(words) if len(word) > 4]
    if not long:
        return text
    i = rng.choice(long)
    word, at = words[i], rng.randrange(1, len(words[i]) - 1)
    words[i] = pick(
        rng,
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        word[:at] + word[at + 1 :],
        word[:at] + word[at] + word[at:],
        word[:at] + rng.choice("etaoinshrdlu") + word[at + 1 :],
    )
    return " ".join(words)
