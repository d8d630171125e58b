"""The words of the prompt grammar: what people call the ten styles, and a photo left alone."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Wording:
    """How one style is named. Phrases are separated by commas in the sources below."""

    nouns: tuple[str, ...]  # things: "a ... of a woman"
    adjectives: tuple[str, ...]  # "a ... painting", "make it ..."
    names: tuple[str, ...]  # "in the style of ...", "by ..."
    details: tuple[str, ...]  # "..., with ..."
    made: tuple[str, ...]  # "as if it had been ..."


def phrases(text: str) -> tuple[str, ...]:
    return tuple(" ".join(phrase.split()) for phrase in text.split(",") if phrase.strip())


def wording(nouns: str, adjectives: str, names: str, details: str, made: str) -> Wording:
    return Wording(phrases(nouns), phrases(adjectives), phrases(names), phrases(details), phrases(made))


WORDING: dict[str, Wording] = {
    "oil": wording(
        """oil painting, oil painting, oil painting, oil painting, painting in oil, painting in oils, oil on canvas,
        oil on linen, oil on board, oil paint portrait, oil portrait, oil study, oil paint, oil colours, oils, old
        master painting, old master, baroque painting, renaissance painting, dutch master painting, classical painting,
        academic painting, rembrandt painting, rembrandt portrait, vermeer, caravaggio, acrylic painting, acrylic on
        canvas, alla prima painting, palette knife painting, impasto painting, canvas painting, old painting, fresco,
        museum painting, gallery painting, oil landscape, oil still life, rococo painting, tenebrist painting, fine art
        painting, realist painting, golden age portrait, oil artwork, oil sketch on panel, varnished canvas, varnished
        painting, antique painting, masterwork in oil, oil pigment on wood, altarpiece, court portrait, oil paintng,
        oil panting, oil pastel painting""",
        """oil, oil painted, oil-painted, oil-painting, oily, oil painting style, oil paint, old master, baroque,
        renaissance, rembrandt-like, rembrandt style, rembrandtesque, caravaggesque, impasto, thickly painted,
        oil-on-canvas, classical, academic, flemish, dutch golden age, rococo, thick paint, painted in oil, acrylic,
        chiaroscuro, varnished, old-masterly""",
        """Rembrandt, Rembrandt van Rijn, Caravaggio, Vermeer, Johannes Vermeer, Titian, Rubens, Velazquez, Goya, John
        Singer Sargent, Sargent, Frans Hals, Jan van Eyck, Raphael, Botticelli, Da Vinci, Leonardo da Vinci, Mona Lisa,
        Delacroix, Ingres, Courbet, the old masters, an old master, a dutch master, the baroque masters, the
        renaissance, the baroque, Artemisia Gentileschi, Gainsborough, Joshua Reynolds, Thomas Eakins, Repin,
        Bouguereau, Michelangelo, Holbein, the flemish primitives, the golden age, Tintoretto, Judith Leyster, Klimt,
        Lucian Freud, Salvador Dali, Picasso, the night watch, the girl with a pearl earring""",
        """thick impasto, impasto, thick paint, thick brush strokes, visible brushwork in oil, heavy brush strokes, oil
        on canvas texture, canvas texture, canvas weave, palette knife strokes, palette knife, rich oil colours,
        buttery strokes, glazes of oil, layered glazes, linseed oil, varnish, craquelure, cracked paint, chiaroscuro,
        rich pigments, layers of oil paint, oily strokes, a painterly canvas, stretched canvas, creamy paint, deep
        varnished browns, wet oil paint, bristle marks, a gilded frame, sfumato, old master light, textured strokes of
        oil, dense paint, fat over lean""",
        """painted in oil, painted in oils, painted with oil paint, painted with oils, done in oils, done in oil, made
        with oil paints, painted by an old master, painted by rembrandt, painted on canvas, painted on a canvas, put on
        canvas in oil, covered in thick oil paint, painted with a palette knife, painted with thick paint, rendered in
        oils, created with oil on canvas, painted in the baroque, painted in the renaissance, finished in oil and
        varnish, worked in heavy oil paint, executed in oils, painted in acrylics, slathered on with oil paint, hung in
        a museum as an oil""",
    ),
    "watercolour": wording(
        """watercolour, watercolour, watercolour, watercolour painting, watercolour painting, watercolour, aquarelle,
        watercolour sketch, watercolour illustration, aquarelle painting, water colour painting, water colour,
        water-colour, painting in watercolour, wet on wet watercolour, wash painting, ink wash and watercolour,
        gouache, gouache painting, watercolour wash, loose watercolour, watercolour portrait, watercolour landscape,
        watercolour on paper, watercolour drawing, watercolour art, tempera wash, watercolour study, watercolor,
        watercolour postcard, water paint, watercolour painting on paper, botanical watercolour, aquarell, acuarela,
        watercolur, watercolour sketchbook page, water based painting, children's book watercolour, picture book
        watercolour, watercolour journal page, wash drawing""",
        """watercolour, watercoloured, water-colour, aquarelle, watercolour style, watercolour painted, watery, washy,
        wet-on-wet, gouache, watercolour-like, soft watercolour, water painted, aquarelle style, watercolouresque,
        runny watercolour, transparent watercolour, aqueous, delicate watercolour""",
        """a watercolour, watercolour painters, Albrecht Durer's watercolours, Winslow Homer's watercolours, an
        aquarelle, Beatrix Potter, an english watercolourist, Turner's watercolours, John Sell Cotman, a watercolour
        artist, watercolour art, watercolour illustration, Paul Sandby, a botanical illustrator, Joseph Zbukvic, Thomas
        Girtin, a picture book illustrator""",
        """wet on wet, wet-on-wet washes, soft washes, transparent washes, flowing washes, bleeding colours,
        watercolour washes, pigment blooms, blooms, bleeds, runny paint, watercolour paper, cold pressed paper, cold
        press texture, white paper showing, paint drips and bleeds, diluted pigments, loose washes, delicate washes,
        paper grain and washes, watery edges, pale transparent colours, granulation, translucent layers of paint,
        splashes of watercolour, watercolour splatter, damp paper, watered down paint, feathered wet edges, soft watery
        colours, pale tints, tinted washes, dry brush on rough paper, backruns, a watery wash, thin washes""",
        """painted in watercolour, painted with watercolours, done in watercolour, painted in water colours, painted
        with water and pigment, washed in watercolour, made with watercolours, painted in gouache, rendered in
        watercolour, painted in thin washes, painted on wet paper, washed onto wet paper, drawn and tinted with
        watercolour, created with aquarelle, painted by a watercolourist, brushed on with lots of water, painted with
        diluted colours, tinted with pale washes, made of watery paint""",
    ),
    "pencil": wording(
        """pencil sketch, pencil sketch, pencil sketch, pencil drawing, pencil drawing, sketch, drawing, graphite
        drawing, graphite sketch, charcoal drawing, charcoal sketch, charcoal, pencil, pencil portrait, drawing in
        pencil, drawing with pencil, line drawing, hand drawing, rough sketch, sketchbook page, sketchbook drawing,
        pencil study, graphite study, crayon drawing, chalk drawing, silverpoint, pencil illustration, drawing on
        paper, sketch in graphite, hatching drawing, crosshatched drawing, etching, engraving, copperplate engraving,
        doodle, life drawing, figure drawing, preparatory drawing, pencil art, pencil rendering, penciled portrait,
        graphite portrait, scribble, pencil sketching, draft drawing, conte crayon drawing, coloured pencil drawing,
        draughtsman's sketch, architectural sketch, pen sketch, pencil scetch, pensil drawing, notebook doodle,
        hand-drawn picture, lead pencil drawing, sketching""",
        """pencil, pencilled, pencil-drawn, pencil drawn, sketched, sketchy, graphite, charcoal, hand-drawn, hand
        drawn, pencil style, pencil sketch style, hatched, cross-hatched, crosshatched, scribbled, drawn, sketch-like,
        sketch style, hand-sketched, penciled, graphite style, charcoal style, scribbly, chalky, engraved, etched,
        lead-pencil, coloured pencil, doodled, shaded pencil""",
        """a pencil sketch, a pencil drawing, an artist's sketchbook, Leonardo's sketches, Durer's drawings, a graphite
        artist, Ingres's drawings, a charcoal artist, Kathe Kollwitz, an architect's sketch, a sketch artist, Escher, a
        Gustave Dore engraving, an engraver, a draughtsman, Leonardo da Vinci's notebooks, a courtroom sketch artist,
        Piranesi, a drawing class, a street sketch artist, Rodin's drawings""",
        """cross-hatching, hatching, fine hatching, graphite shading, soft shading in graphite, smudged graphite,
        pencil strokes, pencil lines, pencil shading, rough pencil lines, sketch lines, scribbled lines, sketchy lines,
        drawn lines, charcoal smudges, drawing paper, sketch paper, fine pencil detail, sharp pencil, blunt pencil,
        eraser marks, construction lines, graphite texture, loose sketchy strokes, contour lines in pencil, stippled
        shading, HB pencil, 2B pencil, 6B pencil, 4B graphite, pencil on paper, graphite on paper, charcoal on paper,
        smudged charcoal, chalk highlights, hatch marks, delicate pencil work, scratchy lines, loose linework, pencil
        texture, tonal shading on paper, an unfinished sketch, lead on paper""",
        """drawn with a pencil, drawn in pencil, sketched in pencil, sketched with a pencil, sketched by hand, drawn by
        hand, drawn with graphite, drawn in charcoal, drawn with charcoal, sketched on paper, drawn on paper, sketched
        in a notebook, scribbled with a pencil, shaded with a pencil, done in pencil, done in graphite, sketched
        quickly, hatched in graphite, drawn in a sketchbook, doodled in a notebook, etched on a plate, drawn by an
        artist with a pencil, pencilled by hand, drawn with coloured pencils, traced with a pencil, roughed out in
        pencil, drawn with chalk""",
    ),
    "neon": wording(
        """cyberpunk city, cyberpunk, cyberpunk neon city, neon city, cyberpunk scene, cyberpunk street, neon lights,
        neon sign, neon street, synthwave, synthwave scene, retrowave, vaporwave, outrun, cyberpunk art, neon art, neon
        glow, cyberpunk world, cyberpunk portrait, cyberpunk illustration, futuristic neon city, tron scene, neon noir,
        cyberpunk alley, blade runner scene, futuristic megacity, neon dystopia, neon portrait, sci-fi city, cyber
        city, cyberpunk neon, neon cyberpunk, hologram, rave, darksynth, cyberpunk 2077 screenshot, tech noir, laser
        show, cyberpnuk city, cyber punk city, neon jungle, neon nightlife, arcade, nightclub lights, high tech
        dystopia, cyborg world, neon tokyo, led lights, neon poster, futurism of neon""",
        """cyberpunk, cyberpunk style, neon, neon-lit, neon lit, neon style, neon-soaked, synthwave, retrowave,
        vaporwave, futuristic neon, glowing neon, tron-like, tron style, cyber, cyber-noir, blade runner style,
        holographic, electric neon, fluorescent, laser-lit, cyberpunk neon, neon coloured, outrun, sci-fi neon, cyber
        punk, neony, luminous neon, dystopian, futuristic, cybernetic, techno, ultraviolet""",
        """Blade Runner, Blade Runner 2049, Tron, Tron Legacy, Cyberpunk 2077, Akira's city, Ghost in the Shell's city,
        cyberpunk, synthwave, vaporwave, a neon city, Neuromancer, William Gibson, Syd Mead, Liam Wong, Beeple, a
        cyberpunk film, a cyberpunk game, neon noir, an outrun poster, retrowave, the Matrix, Deus Ex, Altered Carbon,
        Josan Gonzalez, a neon sign, a hacker film, an eighties synthwave album, Shadowrun""",
        """neon lights, neon signs, neon glow, glowing signs, neon reflections, neon reflections on wet streets,
        glowing edges, glowing lines, pink and cyan lights, magenta and cyan lighting, neon pink, purple and cyan neon,
        holograms, holographic signs, holographic ads, rainy neon streets, wet asphalt and neon, laser beams, electric
        glow, LED strips, fluorescent lights, neon tubes, glowing outlines, cyber implants, ultraviolet light, megacity
        lights, flying cars and neon, glow in the dark, blacklight, luminous signs, tech noir lighting, glowing circuit
        lines, a neon skyline, electric colours, light trails, blue and magenta glow, glitch effects, skyscrapers with
        giant screens, cyborgs, androids, billboards that glow, a retro sun grid""",
        """lit by neon, lit by neon signs, lit with neon tubes, bathed in neon, drenched in neon, glowing in neon,
        soaked in neon light, set in a cyberpunk city, set in a neon future, filmed for blade runner, lit by holograms,
        made of neon, made of neon light, drawn with neon tubes, illuminated by glowing signs, outlined in neon, bathed
        in pink and cyan light, lit by lasers, dipped in glowing colours, lit by fluorescent tubes, transported to a
        cyberpunk future""",
    ),
    "anime": wording(
        """anime, anime, anime film still, anime still, anime scene, anime screenshot, anime drawing, anime frame,
        manga, manga drawing, manga panel, anime character, anime portrait, anime illustration, anime art, anime girl,
        anime boy, anime key visual, studio ghibli film, ghibli scene, ghibli film still, ghibli painting, ghibli,
        cartoon, animated film, animated movie still, japanese animation, japanese cartoon, cel animation, toon,
        animation frame, animation cel, shonen anime, shoujo anime, anime movie, anime film, anime background, chibi,
        anime wallpaper, visual novel scene, manga page, disney cartoon, cartoon character, cel-shaded render, animee,
        2d animation, waifu, anime picture, anime version, light novel cover, animated show, animation still,
        animme""",
        """anime, anime-style, anime style, animated, manga, manga-style, manga style, ghibli, ghibli-style, ghibli
        style, studio ghibli style, cel-shaded, cel shaded, cartoon, cartoonish, cartoony, japanese animation,
        anime-like, toon, toon-shaded, shonen, shoujo, chibi, kawaii, anime inspired, ghibli inspired, cartoon style,
        animesque, hand-animated, 2d animated""",
        """Studio Ghibli, Ghibli, Hayao Miyazaki, Miyazaki, Makoto Shinkai, anime, an anime, a manga, a Ghibli film,
        Spirited Away, My Neighbour Totoro, Princess Mononoke, Your Name, Naruto, Dragon Ball, One Piece, Sailor Moon,
        Akira Toriyama, Satoshi Kon, Evangelion, Kyoto Animation, an anime film, an anime movie, Japanese animation, a
        cartoon, Pokemon, Attack on Titan, Cowboy Bebop, Howl's Moving Castle, Mamoru Hosoda, Demon Slayer, an animated
        series, Disney, Kiki's Delivery Service, Isao Takahata, Osamu Tezuka, a japanese cartoon""",
        """cel shading, cel shaded, flat shading, big anime eyes, large eyes, clean line art, anime eyes, flat colours,
        hand-drawn animation, anime line work, ghibli clouds, anime sky, soft anime colours, anime lighting, manga
        lines, screentone, speed lines, cute anime face, painted anime background, animation backgrounds, bright anime
        colours, sparkling eyes, spiky hair, crisp cartoon outlines, simple cartoon shapes, animated look, billowing
        summer clouds, clean cartoon shading, cel animation look, expressive eyes, kawaii face, japanese animation
        look, key animation""",
        """drawn as an anime, drawn in anime style, animated by studio ghibli, animated, made by studio ghibli, drawn
        by miyazaki, drawn as a manga, drawn like a cartoon, cel shaded, animated in japan, made into an anime, drawn
        for an anime, directed by hayao miyazaki, painted for an animated film, drawn by a manga artist, turned into a
        cartoon, taken from an anime, illustrated as manga, drawn by makoto shinkai, lifted from a cartoon, drawn for a
        japanese animated film""",
    ),
    "hdr": wording(
        """HDR photograph, HDR photo, HDR, HDR image, HDR picture, HDR photography, high dynamic range photo, high
        dynamic range photograph, high dynamic range image, tone mapped photo, tonemapped image, HDR shot,
        hyperrealistic photo, hyper-realistic photograph, ultra sharp photo, ultra detailed photo, hyperreal photo, HDR
        landscape, HDR landscape photography, hdr render, exposure blend, exposure fusion, bracketed photo, high
        dynamic range, hdr effect, hdr filter, hdr look, photorealistic hdr, hdr10, real estate hdr photo, high
        contrast hdr, crisp hdr photo, detail enhanced photo, hyperdetailed photograph, ultra hdr, hdr potograph,
        hyperrealism, photomatix image, tone mapping, clarity filter, hdr panorama, h.d.r. photo, dynamic range
        boost""",
        """HDR, hdr style, high-dynamic-range, high dynamic range, tone-mapped, tonemapped, tone mapped,
        hyperrealistic, hyper-realistic, hyperreal, ultra sharp, ultra-sharp, super sharp, hyper detailed, hdr-like,
        crisp hdr, overprocessed hdr, exposure-blended, super crisp, ultra crisp, extra crisp, hyper-sharp, razor
        sharp""",
        """HDR photography, an HDR photo, high dynamic range photography, Trey Ratcliff, Photomatix, Aurora HDR, a tone
        mapped photo, hdr, an hdr photographer, hyperrealism, a real estate photo, Lightroom HDR, an HDR panorama,
        exposure blending""",
        """tone mapping, tone-mapped, high dynamic range, extreme local contrast, local contrast, boosted clarity,
        clarity, high clarity, micro contrast, microcontrast, crisp details, extremely sharp details, every detail
        crisp, detail in shadows and highlights, recovered shadows, lifted shadows and recovered highlights, exposure
        bracketing, bracketed exposures, exposure blending, hdr toning, enhanced texture, extreme texture, razor sharp
        texture, ultra sharp details, sharp hdr details, hyper detailed textures, shadow detail, highlight recovery,
        sharpened details, gritty texture, structure slider, full dynamic range, hdr sky, dehaze, merged exposures,
        super resolution details, tack sharp, punchy details""",
        """shot in HDR, photographed in HDR, taken in HDR, tone mapped, processed in photomatix, merged to HDR,
        captured in high dynamic range, shot with bracketed exposures, edited with clarity, blended from exposures,
        processed as HDR, merged from three exposures, sharpened and tone mapped, taken with hdr mode, enhanced with
        hdr, shot with high dynamic range, graded for hdr, pushed to extreme clarity""",
    ),
    "impressionist": wording(
        """impressionist painting, impressionist painting, impressionist, impressionist landscape, impressionist
        garden, impressionist scene, impressionist portrait, impressionism, french impressionism, monet painting,
        monet, van gogh painting, van gogh, post-impressionist painting, post-impressionism, pointillism, pointillist
        painting, pointillist landscape, plein air painting, plein-air sketch, renoir painting, degas, cezanne,
        impressionistic painting, impressionistic landscape, neo-impressionist painting, luminist painting, starry
        night, water lilies, impressionist canvas, painting by monet, painting by van gogh, impressionist oil,
        impressionism painting, american impressionism, pastel painting, soft pastel, seurat, divisionist painting,
        impresionist painting, impressonist painting, fauvist painting, swirling painting, haystacks by monet,
        expressionist painting, impression of light, impressionist artwork""",
        """impressionist, impressionistic, impressionist style, monet-like, monet style, monet-esque, van gogh style,
        van gogh-like, post-impressionist, pointillist, pointillistic, plein-air, plein air, dappled, renoir style,
        french impressionist, neo-impressionist, dotted pointillist, vangogh, gauguin-like, fauvist, divisionist,
        swirling, starry-night style, broken-colour, cezanne style""",
        """Monet, Claude Monet, Van Gogh, Vincent van Gogh, Renoir, Pierre-Auguste Renoir, Degas, Edgar Degas, Cezanne,
        Paul Cezanne, Pissarro, Camille Pissarro, Sisley, Berthe Morisot, Mary Cassatt, Seurat, Georges Seurat, Signac,
        Gauguin, Toulouse-Lautrec, Manet, the impressionists, an impressionist, impressionism, post-impressionism, the
        starry night, Monet's garden, Giverny, Turner, J. M. W. Turner, Childe Hassam, Caillebotte, pointillism,
        Bonnard, Matisse, Munch, Sorolla, water lilies, Arles, Vincent, Van Gough, the French impressionists, Starry
        Night, Sunflowers by Van Gogh, Claud Monet""",
        """dabs of colour, dabs of paint, short brush strokes, visible brush strokes, loose brushwork, loose brush
        strokes, broken colour, dappled light, dappled sunlight, swirling brush strokes, swirling sky, swirls, small
        dots of colour, dots of pure colour, tiny dots of paint, shimmering light, flickering light, light on water in
        dabs, soft dabs, quick dabs of the brush, feathery strokes, vibrating colour, painterly light, commas of paint,
        bright strokes side by side, spontaneous brushwork, optical mixing, en plein air, painted outdoors, the play of
        light, blurry brushwork, short thick strokes, expressive swirling strokes, shimmering reflections, hazy light
        and loose strokes, unblended colour, a wash of sunlight in dabs""",
        """painted by monet, painted by claude monet, painted by van gogh, painted by vincent van gogh, painted by
        renoir, painted by an impressionist, painted by the impressionists, painted outdoors in dabs, painted en plein
        air, painted in dots, painted in short strokes, painted with loose strokes, painted with dabs of colour,
        painted in giverny, painted in an impressionist style, made of tiny dots, painted with swirling strokes, broken
        into dabs of colour, painted with quick loose brush strokes, painted by cezanne, dotted by seurat""",
    ),
    "fantasy": wording(
        """dark fantasy, dark fantasy, dark fantasy painting, dark fantasy art, fantasy art, fantasy painting, fantasy,
        dark fantasy scene, dark fantasy illustration, gothic fantasy, gothic painting, gothic horror, horror painting,
        grimdark, grimdark illustration, fantasy concept art, fantasy illustration, dark fairytale, fairy tale, epic
        fantasy, sword and sorcery, dungeons and dragons art, D&D art, dark souls scene, elden ring screenshot, fantasy
        book cover, fantasy landscape, fantasy character, haunted scene, nightmare, necromancer, warlock, demon lord,
        vampire portrait, eldritch horror, lovecraftian horror, fantasy world, high fantasy, medieval fantasy, fantasy
        movie, witchcraft scene, dark magic, gothic novel cover, dark fantsy, fantasy game art, middle earth, dark
        fantasy portrait, bloodborne screenshot, mythical realm, underworld, horror movie poster""",
        """dark fantasy, fantasy, gothic, grimdark, dark-fantasy, fantasy style, dark fantasy style, eldritch, cursed,
        haunted, sinister, demonic, lovecraftian, bewitched, enchanted, infernal, hellish, dark souls style, ghoulish,
        macabre, otherworldly, mythic, sorcerous, ghostly gothic, fantasy-style, unholy, arcane, medieval fantasy,
        spooky, evil, nightmarish, creepy, vampiric, magical""",
        """Dark Souls, Elden Ring, Bloodborne, Lord of the Rings, the Lord of the Rings, Tolkien, Game of Thrones,
        Dungeons and Dragons, Warhammer, Frank Frazetta, Frazetta, Zdzislaw Beksinski, Beksinski, H. P. Lovecraft,
        Lovecraft, Diablo, The Witcher, Skyrim, Magic the Gathering, dark fantasy, a gothic novel, a dark fairy tale,
        Gerald Brom, H. R. Giger, Castlevania, a fantasy book cover, Mordor, Berserk, Middle Earth, Conan, Guillermo
        del Toro, World of Warcraft, a horror film, Dracula, Hieronymus Bosch, Harry Potter, Narnia, Game of Thrones, a
        fantasy novel, Alan Lee, John Howe""",
        """ominous shadows and magic, glowing runes, magic runes, demons in the dark, gothic spires, gothic castle
        ruins, ancient ruins and dragons, cursed knights, a brooding cursed sky, dark magic, black magic, embers and
        ash, ravens and bones, skulls, torchlight and fog in a crypt, eldritch light, a haunted forest, twisted dead
        trees, blood moon, sorcery, evil spirits, hellfire, necromancy, wicked towers, ghostly mist and demons,
        monsters lurking, mythical beasts, enchanted armour, arcane symbols, spell casting, orcs and elves, gargoyles,
        crypts and tombs, brooding menace, vampires, witches, wraiths, sinister atmosphere, horror atmosphere, grim
        atmosphere, epic swords, undead, a fiery abyss, spooky atmosphere""",
        """set in a dark fantasy world, taken from dark souls, set in mordor, cursed by a witch, haunted by demons,
        painted for a fantasy novel, made for a dark fantasy game, made for a fantasy book cover, imagined by tolkien,
        painted by frazetta, painted by beksinski, turned into a gothic nightmare, set in a grim kingdom, designed for
        dungeons and dragons, set in a haunted castle, overrun by demons, bewitched by dark magic, drawn for a horror
        story, placed in a medieval fantasy realm, enchanted by a sorcerer, written by lovecraft""",
    ),
    "ukiyoe": wording(
        """ukiyo-e woodblock print, ukiyo-e, ukiyo-e print, ukiyoe, woodblock print, japanese woodblock print, japanese
        woodblock, japanese print, woodblock, woodcut, woodcut print, hokusai print, hokusai, hiroshige print,
        hiroshige, edo period print, floating world print, old japanese print, traditional japanese art, japanese art,
        japanese woodcut, japanese painting, wood block print, wood-block print, woodblock landscape, the great wave,
        japanese scroll, sumi-e, japanese ink print, kabuki print, shin-hanga print, shin hanga, utamaro, edo print,
        nishiki-e, block print, wood cut, ukiyo e, ukioy-e print, ukiyo-e painting, ukiyo-e landscape, moku hanga,
        wooden block print, carved print, linocut, relief print, prints from edo, japonisme, wood engraving in
        japan""",
        """ukiyo-e, ukiyoe, ukiyo-e style, woodblock, woodblock-printed, woodblock style, japanese woodblock,
        hokusai-like, hokusai style, edo-period, edo period, edo, woodcut, japanese print, hiroshige-like, hiroshige
        style, traditional japanese, old japanese, shin-hanga, block-printed, woodcut style, floating-world,
        utamaro-like, kabuki, ukiyo e, ancient japanese, japanese""",
        """Hokusai, Katsushika Hokusai, Hiroshige, Utagawa Hiroshige, Utamaro, Kuniyoshi, Kunisada, Sharaku,
        Yoshitoshi, ukiyo-e, a japanese woodblock print, a woodblock print, the Great Wave, The Great Wave off
        Kanagawa, Edo Japan, the edo period, the floating world, Hasui Kawase, Kawase Hasui, shin-hanga, thirty-six
        views of Mount Fuji, old Japan, Harunobu, a kabuki poster, Hiroshi Yoshida, japanese prints, a japanese master,
        Tsukioka Yoshitoshi, traditional Japanese art, an old japanese print, Kitagawa Utamaro, a hokusai""",
        """flat areas of indigo, woodgrain texture, wood grain, visible wood grain, woodblock texture, washi paper,
        rice paper, prussian blue waves, stylised waves, stylized clouds, mount fuji, curling wave, a red seal stamp,
        japanese calligraphy, carved lines, printed from carved blocks, bokashi gradation, bokashi, graded sky, indigo
        gradations, edo colours, kimono patterns, flat woodblock colours, key block outlines, hand-printed on washi,
        mulberry paper, woodcut lines, seigaiha waves, japanese seal, block printing, a print from old japan""",
        """printed from woodblocks, printed from a woodblock, carved in wood, carved and printed in japan, printed on
        washi, made in edo, made in the edo period, made by hokusai, printed by hiroshige, cut in wood, drawn by
        hokusai, made in old japan, printed with wooden blocks, printed as a woodcut, cut as a woodblock, designed by
        utamaro, printed in the floating world, engraved in cherry wood, stamped from wood blocks, made by a japanese
        printmaker, painted by hokusai""",
    ),
    "pop": wording(
        """pop art, pop art, pop art poster, pop art print, pop art portrait, pop-art, popart, pop art painting, pop
        art comic, comic book, comic book panel, comic panel, comic, comic strip, comic book art, warhol print, warhol,
        andy warhol, lichtenstein, lichtenstein painting, screen print, silkscreen, silkscreen print, screenprint,
        halftone print, halftone poster, pop art collage, 60s pop art, sixties poster, superhero comic, comic book
        cover, marvel comic, american comic, graphic novel page, serigraph, pop art illustration, warhol portrait, pop
        culture poster, retro comic, vintage comic, pulp comic, poster art, street art stencil, banksy stencil,
        graffiti, pop-art canvas, popp art, comic book page, pop art design, campbell's soup can, vintage advertising
        poster, comicbook""",
        """pop art, pop-art, popart, pop art style, pop, comic, comic-book, comic book, comic style, comic book style,
        warhol-like, warhol style, warholesque, lichtenstein-style, lichtenstein style, halftone, halftoned,
        screen-printed, silkscreened, silkscreen, screenprinted, ben-day, pop-coloured, sixties pop, graphic novel,
        comic strip, posterised, posterized, retro comic""",
        """Andy Warhol, Warhol, Roy Lichtenstein, Lichtenstein, Keith Haring, pop art, pop art posters, a comic book, a
        comic, a comic strip, Richard Hamilton, Robert Rauschenberg, Jasper Johns, James Rosenquist, David Hockney,
        Marvel comics, a superhero comic, DC comics, Jack Kirby, a silkscreen, sixties pop art, Campbell's soup cans,
        Spider-Verse, Into the Spider-Verse, Peter Blake, a graphic novel, Takashi Murakami, Banksy, Mel Ramos, Tom
        Wesselmann, a pop artist, Sin City comics, Robert Indiana, Marilyn by Warhol, Jeff Koons""",
        """halftone dots, ben-day dots, benday dots, comic dots, halftone pattern, halftone shading, flat bright
        colours, bold flat colours, loud colours, four colours, primary colours, garish colours, screen printing,
        silkscreen ink, printed dots, repeated panels, four panels, repeated in a grid, speech bubbles, speech bubble
        saying pow, pow, bam, comic book shading, comic lettering, bold graphic shapes, poster colours, misregistered
        ink, flat graphic colour blocks, big printed dots, action words, off-register printing, comic panels, clashing
        colours, bubblegum colours, mass-produced look, consumer culture, thick comic lines""",
        """printed as pop art, silkscreened, silkscreened by warhol, screen printed, printed by andy warhol, made by
        andy warhol, drawn by lichtenstein, painted by roy lichtenstein, printed in halftone, drawn as a comic, turned
        into pop art, printed in a comic book, made of halftone dots, printed with ben-day dots, drawn for a comic
        book, drawn by a comic artist, published by marvel, pulled through a silkscreen, repeated four times in loud
        colours, printed on a sixties poster, sprayed as a stencil""",
    ),
}

# The styles in other languages; the vocabulary spells them in bytes.
ABROAD = {
    "oil": "ölgemälde, peinture à l'huile, óleo sobre lienzo, pittura a olio, 油画, 油絵, картина маслом, 유화",
    "watercolour": "aquarell, peinture à l'aquarelle, acuarela, acquerello, 水彩画, 水彩, акварель, 수채화, aquarela",
    "pencil": "bleistiftzeichnung, dessin au crayon, dibujo a lápiz, disegno a matita, 素描, 鉛筆画, карандаш, 연필",
    "neon": "neonlichter, néons, luces de neón, luci al neon, 霓虹灯, 赛博朋克, サイバーパンク, ネオン, киберпанк",
    "anime": "zeichentrick, dessin animé, dibujos animados, 动漫, アニメ, 漫画, ジブリ, аниме, 애니메이션, 宮崎駿",
    "hdr": "hdr foto, photo hdr, foto en hdr, fotografia hdr, 高动态范围, hdr写真, hdr фото, hdr 사진",
    "impressionist": "impressionismus, impressionnisme, impresionismo, impressionismo, 印象派, импрессионизм, 인상파",
    "fantasy": "düstere fantasy, fantaisie sombre, fantasía oscura, 暗黑奇幻, ダークファンタジー, тёмное фэнтези",
    "ukiyoe": "japanischer holzschnitt, estampe japonaise, grabado japonés, 浮世绘, 浮世絵, 北斎, укиё-э, 우키요에",
    "pop": "pop-art-bild, bande dessinée, arte pop, fumetto, 波普艺术, ポップアート, поп-арт, 팝아트, cómic",
}

# What a photograph left alone is called.
PHOTO = phrases(
    """photo, photograph, photography, photorealistic, realistic, realistic photo, original, original photo, real
    photo, normal photo, plain photo, unedited, unedited photo, natural photo, no change, no changes, no effect, no
    style, no filter, unchanged, unmodified, real life, raw photo, snapshot, camera picture, photographic, untouched,
    leave it alone, leave it as it is, leave as is, keep it as it is, keep the photo, keep the original, just the
    photo, do nothing, nothing changed, don't change anything, do not change anything, don't change it, passthrough, no
    painting just a photo, as it is, the original picture, true to life, dslr photo, 35mm photo, polaroid, film photo,
    candid photo, stock photo, photo realistic, lifelike, real, webcam, raw footage, the real thing, identical to the
    original, same as the input, video, webcam picture, iphone photo, analog photo, kodak portra, portrait photography,
    documentary photo, without any effect, original colours, the camera as it is, foto, passport photo, selfie, canon
    photo, just me, the plain camera, stay realistic, keep it real, unaltered, off"""
)

# A painting of no particular kind.
GENERIC = phrases(
    """painting, painting, a painted picture, artwork, art, painted, fine art, painterly, artistic, work of art, a
    canvas, an artist's picture, painted portrait, landscape painting, a masterpiece painting, artsy, portrait
    painting, a beautiful painting, traditional art, painted by an artist, painted by hand, a mural, brush painting"""
)
