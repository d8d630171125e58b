"""The words of the prompt grammar that name no style: colours, moods, degrees, sentences, subjects and filler."""

from lexicon import phrases

# A phrase, and the modifiers it means at ordinary strength; the recipe scales them by degree.
TINTS: dict[str, tuple[float, float, float]] = {
    "red": (1.0, -0.5, -0.5),
    "crimson": (1.0, -0.6, -0.4),
    "scarlet": (1.0, -0.4, -0.6),
    "ruby": (1.0, -0.6, -0.4),
    "orange": (0.8, 0.0, -0.8),
    "amber": (0.7, 0.2, -0.9),
    "copper": (0.7, 0.0, -0.7),
    "gold": (0.6, 0.3, -0.9),
    "golden": (0.6, 0.3, -0.9),
    "yellow": (0.5, 0.5, -1.0),
    "lime": (0.0, 0.8, -0.8),
    "green": (-0.5, 1.0, -0.5),
    "emerald": (-0.6, 1.0, -0.4),
    "olive": (0.2, 0.4, -0.6),
    "mint": (-0.6, 0.5, 0.1),
    "teal": (-0.9, 0.4, 0.5),
    "turquoise": (-0.9, 0.4, 0.5),
    "cyan": (-1.0, 0.5, 0.5),
    "aqua": (-0.9, 0.4, 0.5),
    "blue": (-0.5, -0.5, 1.0),
    "azure": (-0.7, 0.0, 0.7),
    "navy": (-0.5, -0.5, 1.0),
    "indigo": (-0.3, -0.6, 0.9),
    "violet": (0.2, -0.8, 0.6),
    "purple": (0.3, -0.8, 0.5),
    "lavender": (0.1, -0.4, 0.3),
    "lilac": (0.2, -0.5, 0.3),
    "magenta": (0.6, -1.0, 0.4),
    "pink": (0.7, -0.6, -0.1),
    "rose": (0.7, -0.6, -0.1),
    "brown": (0.5, 0.0, -0.5),
    "sepia": (0.5, 0.1, -0.6),
    "warm": (0.5, 0.0, -0.5),
    "cold": (-0.5, 0.0, 0.5),
    "cool": (-0.4, 0.0, 0.4),
    "icy": (-0.6, 0.1, 0.5),
}

# Each mood: words before a noun, phrases behind a comma, and the modifier with its sign.
MOODS: list[tuple[str, float, str, str]] = [
    (
        "light",
        -0.7,
        """dark, dark, dark, darker, gloomy, shadowy, nocturnal, night-time, dim, dimly lit, moonlit, nightly,
        midnight""",
        """at night, at night, at night, at night, by night, in the dark, at midnight, night, night scene, low light,
        under the moon, in moonlight, after dark, dark mood, darkness, dark and moody, underexposed, by candlelight,
        deep shadows, in the night""",
    ),
    (
        "light",
        0.7,
        """bright, bright, bright, brighter, sunny, sunny, sunlit, light, luminous, airy, light-filled, high-key,
        well-lit, radiant""",
        """in bright sunshine, in the sun, on a sunny day, sunny, bright light, full of light, in daylight, broad
        daylight, bright and airy, bathed in sunlight, overexposed, sunshine, high key, at noon, bright day""",
    ),
    (
        "saturation",
        -1.0,
        """black and white, black and white, black and white, black and white, black-and-white, monochrome, greyscale,
        grayscale, b&w, colourless, monochromatic, bw""",
        """in black and white, black and white, black and white, monochrome, no colour, without colour, without any
        colours, in greyscale, b/w, grey only, in shades of grey, desaturated completely, black & white""",
    ),
    (
        "saturation",
        -0.5,
        """muted, desaturated, washed-out, pale, subdued, dull, drab, pastel-coloured, greyish""",
        """muted colours, subdued palette, desaturated, washed out colours, pale colours, low saturation, less colour,
        toned down colours, pastel colours, earthy muted tones""",
    ),
    (
        "saturation",
        0.8,
        """vivid, vivid, colourful, colourful, vibrant, saturated, multicoloured, rainbow-coloured, bright-coloured,
        rich-coloured""",
        """vivid colours, vibrant colours, saturated colours, high saturation, colourful, intense colours, more colour,
        bursting with colour, rich colours, bold colours, rainbow colours, strong colours, psychedelic colours""",
    ),
    (
        "contrast",
        0.7,
        """dramatic, dramatic, stark, high-contrast, contrasty, bold, hard-lit, cinematic, striking""",
        """high contrast, strong contrast, dramatic lighting, dramatic light, stark shadows, hard light, more contrast,
        dramatic mood, stark light, cinematic lighting, strong shadows, dramatic, rim lighting""",
    ),
    (
        "contrast",
        -0.7,
        """misty, misty, soft, soft, faded, hazy, foggy, dreamy, low-contrast, dreamlike, blurry, ethereal, gentle""",
        """in the mist, in fog, soft light, low contrast, faded, hazy light, soft and dreamy, in the fog, misty
        morning, faded colours, less contrast, dreamy mood, soft focus, veiled in mist, gentle light, diffuse light""",
    ),
    (
        "ink",
        0.9,
        """ink-outlined, inked, bold-outlined, outlined, heavily outlined, black-outlined""",
        """bold ink outlines, bold ink outlines, black outlines, ink lines, strong outlines, thick outlines, bold black
        lines, inked contours, ink outlines, pen and ink, dark contour lines, ink linework, outlined in ink, heavy
        black contours, line art, outlined in black, bold contours, thick black lines, ink pen lines, hard black edges,
        inky lines""",
    ),
]

SUBJECTS = phrases(
    """woman, man, girl, boy, child, old man, old woman, baby, couple, family, dancer, musician, guitarist, sailor,
    fisherman, farmer, knight, king, queen, princess, warrior, samurai, geisha, astronaut, robot, wizard, angel, clown,
    chef, doctor, teacher, student, soldier, painter, my face, me, my friend, my wife, my husband, my daughter, my son,
    my dad, my mum, my boss, myself, us, my room, my desk, my office, my kitchen, my street, my house, my dog, my cat,
    my car, my bike, my hand, my garden, a stranger, people, crowd, cat, dog, horse, cow, sheep, bird, owl, eagle,
    parrot, fish, koi, whale, dolphin, shark, tiger, lion, elephant, bear, panda, fox, wolf, deer, rabbit, frog,
    butterfly, bee, dragon, unicorn, dinosaur, snake, turtle, monkey, mouse, duck, swan, peacock, chicken, goat,
    spider, octopus, flower, flowers, rose bush, sunflowers, tulips, tree, trees, cherry tree, forest, jungle, meadow,
    field, wheat field, garden, park, river, lake, waterfall, pond, sea, ocean, beach, island, coast, harbour, bay,
    mountain, mountains, hill, valley, canyon, desert, volcano, cave, glacier, snow, landscape, seascape, cityscape,
    city, town, village, street, alley, market, bridge, canal, church, cathedral, temple, castle, tower, palace, ruins,
    lighthouse, windmill, farm, barn, cottage, house, skyscraper, skyline, station, train, tram, bus, car, bicycle,
    motorcycle, boat, ship, sailing boat, aeroplane, balloon, rocket, spaceship, moon, stars, clouds, sunset, sunrise,
    storm, rain, rainbow, table, chair, lamp, window, door, stairs, book, books, letter, clock, violin, guitar, piano,
    teapot, cup of coffee, cup of tea, bottle, glass of wine, bowl of fruit, fruit, apple, apples, lemon, pumpkin,
    bread, cake, cheese, still life, vase, bouquet, hat, shoes, dress, umbrella, kimono, mask, mirror, statue,
    fountain, toy, doll, keyboard, computer, phone, laptop, camera, face, portrait, eyes, hands, group of friends,
    wedding, birthday, party, concert, football match, restaurant, cafe, library, school, factory, hospital, airport,
    road, path, fence, gate, wall, roof, courtyard, picnic, campfire, canoe, kite, swing, playground, circus, carousel,
    zoo, aquarium, tea house, pagoda, shrine, zen garden, bamboo, ballerina, cowboy, pirate, mermaid, ninja, viking,
    monk, nurse, runner, cyclist, surfer, skier, swimmer, boxer"""
)

PLACES = phrases(
    """in a forest, in the park, by the sea, at sea, on the beach, in the mountains, near a lake, by the river, in the
    city, in a garden, on a hill, in a field, under a tree, at the window, by a window, on a table, in the kitchen, in
    the snow, in the rain, in a storm, at sunset, at dawn, in spring, in autumn, in winter, in summer, in Paris, in
    London, in Venice, in New York, in Tokyo, in Japan, in Africa, on the moon, in space, on a bridge, in the street,
    at home, in front of a house, behind a desk, with a hat, with a cat, with long hair, with glasses, wearing a coat,
    smiling, reading a book, playing guitar, riding a horse, drinking tea, looking at the sea, walking the dog, next to
    a river, in a boat, on a chair, in a cafe, at the market, in the desert, with a beard, holding flowers, full of
    people, over the city, above the clouds, under the bridge, at the harbour, waiting for the train, in the evening,
    in the morning, with an umbrella, sleeping, dancing, running, cooking, singing, sitting, laughing, on a horse"""
)

ADJECTIVES = phrases(
    """beautiful, nice, old, young, big, small, little, tall, happy, sad, lonely, quiet, busy, pretty, lovely, cute,
    elegant, ancient, modern, wooden, stone, abandoned, cosy, peaceful, wild, majestic, handsome, proud, tired, sleepy,
    funny, serious, mysterious, famous, tiny, huge, wonderful, amazing, gorgeous, simple, detailed, fine, good, great,
    crazy, epic, charming, stylish, fresh, warm-hearted, broken, rusty, crowded, empty, far, distant, flying,
    laughing"""
)

FILLER = phrases(
    """highly detailed, trending on artstation, 4k, 8k, masterpiece, best quality, high quality, award winning,
    intricate details, intricate, very detailed, beautiful composition, concept, centered, full body, close-up, close
    up, wide angle, wide shot, ultra quality, hd, uhd, sharp focus, by a famous artist, stunning, amazing, epic
    composition, detailed background, professional, elegant, digital, 2024, high resolution, hires, rule of thirds,
    depth of field, bokeh, unreal engine, octane render, behance, pinterest, wallpaper, please, thanks, now, just for
    fun, no text, no watermark, perfect, very nice, aesthetic, good lighting, volumetric light, trending, artstation,
    deviantart, symmetrical, top view, side view, smooth, 16:9, --ar 3:2, (best quality:1.2), absurdres, extremely
    detailed, cool look, something nice, for my friend, as a gift, for the wall, live, real time, on stream, in one
    step"""
)

COMMON = phrases(
    """the, and, with, for, from, this, that, one, two, three, time, day, year, people, way, thing, world, life, hand,
    part, place, work, week, case, point, number, group, problem, fact, be, have, do, say, get, make, go, know, take,
    see, come, think, look, want, give, use, find, tell, ask, seem, feel, try, leave, call, new, first, last, long,
    other, right, different, next, early, important, few, same, able, under, over, between, again, never, always,
    often, because, while, where, when, how, why, hello, what, today, tomorrow, monday, music, song, coffee, money,
    friend, test, testing, water, food, game, team, door, letter, street, number, mother, father, brother, sister,
    business, company, country, government, history, idea, level, minute, moment, morning, music, office, order, party,
    power, president, price, program, question, reason, research, result, room, science, service, side, society, space,
    sport, story, system, table, teacher, trade, travel, tree, university, value, voice, war, weather, wind, wood,
    word, banana, potato, hammer, engine, magnet, bucket, ladder, carpet, blanket, sandwich, pepper, garlic, river,
    stone, copper wire, battery, screen, mountain bike, tennis, football, cricket, chess, bank, tax, law, court, judge,
    police, fire, smoke, ice, sand, paper, plastic, metal, glass"""
)

# Each degree scales what it stands before.
WEAK = phrases(
    """slightly {}, slightly {}, slightly {}, a bit {}, a bit {}, a little {}, a touch of {}, a hint of {}, subtle {},
    subtly {}, somewhat {}, mildly {}, faintly {}, light {} effect, a little bit {}, slight {}, just a bit of {},
    barely {}, weak {}, kind of {}, not too {}, some {}, {} but subtle, {} at 40%, only a trace of {}, lightly {},
    gentle {} effect, a tiny bit {}, a small {} effect, faint {} effect"""
)
STRONG = phrases(
    """very {}, very {}, very {}, extremely {}, super {}, strongly {}, intensely {}, totally {}, completely {}, really
    {}, ultra {}, strong {}, heavy {}, full {}, deep {}, all {}, {} to the max, very very {}, 100% {}, so {}, {}
    everywhere, maximum {}"""
)
HALF = phrases("""half {}, half-{}, semi-{}, 50% {}, halfway {}, {} at half strength, medium {}, moderately {}""")

# What people ask.
SENTENCES = phrases(
    """turn this into {}, turn it into {}, turn me into {}, make this {}, make it {}, make me look like {}, make it
    look like {}, make the picture look like {}, convert this to {}, convert to {}, transform this into {}, paint me as
    {}, draw this as {}, draw me as {}, I want {}, i would like {}, can you make {}, could you make it {}, please make
    {}, show me as {}, show this as {}, give me {}, give it the look of {}, render it as {}, render as {}, redraw this
    as {}, repaint this as {}, change it to {}, change the style to {}, apply {}, apply {} effect, use {} style, style:
    {}, {} style please, {} filter, {} effect, {} mode, {} version of this, do {}, let it be {}, i'd love {}, looks
    like {}, look like {}, should look like {}, something like {}, a picture in {} style, reimagine as {}, {}
    everything, the world as {}, everything as {}, my street as {}, me as {}, us as {}, try {}, now {}, go for {}, what
    would this be as {}, imagine {}, pretend this is {}, make my room {}, this but {}, same scene as {}, be {}, it
    should be {}, i want it to be {}, turn my camera into {}, live {}, the same but {}, generate {}, create {}"""
)

# Two styles in equal parts, and more of the first.
EVEN = phrases(
    """half {0} half {1}, half {0} half {1}, half {0} and half {1}, half {0} and half {1}, {0} and {1}, {0} meets {1},
    {0} mixed with {1}, a mix of {0} and {1}, mix of {0} and {1}, {0} + {1}, {0} / {1}, {0} combined with {1}, {0}
    blended with {1}, a blend of {0} and {1}, {0} in the style of {1}, between {0} and {1}, {0} crossed with {1}, 50%
    {0} 50% {1}, {0} plus {1}, {0} x {1}, {0} {1}, {0} & {1}, {0} fused with {1}, a fusion of {0} and {1}, both {0} and
    {1}, {0} as {1}, equal parts {0} and {1}, somewhere between {0} and {1}, {0} but also {1}, a combination of {0} and
    {1}, partly {0} and partly {1}, {0} vs {1}, {0} done as {1}, {0} merged with {1}, {0}-{1} hybrid, {0} and {1}
    together, a crossover of {0} and {1}"""
)
UNEVEN = phrases(
    """{0} with a touch of {1}, {0} with a hint of {1}, {0} with some {1}, mostly {0} and a bit of {1}, {0} and
    slightly {1}, mainly {0} with {1} accents, {0} with a little {1}, 75% {0} 25% {1}, {0} and a bit {1}, primarily {0}
    plus subtle {1}, {0} influenced by {1}, {0} with a {1} flavour, 80% {0} and 20% {1}, a touch of {1} on {0}, a
    little {1} over {0}, {0} with {1} elements, {0} hinting at {1}, three quarters {0} one quarter {1}, {0} and just a
    bit of {1}"""
)
