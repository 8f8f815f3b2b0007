"""The planted rows of the corpus: what each is, and the verdict that the demo recipe must give it.

Each row breaks one rule and keeps to all others, save where the table says so; `keep` rows look broken and are not.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import planted_images as edits


def untouched(data: bytes) -> edits.Edited | None:
    """The picture as it is."""
    return None


@dataclass(frozen=True)
class Planted:
    """One row: `picture` names a real one as `clip:PATH`, `emoji:CODE` or `met:NUMBER`; none for a failed download."""

    kind: str
    expected: str
    picture: str
    caption: str | bytes
    edit: Callable[[bytes], edits.Edited | None] = untouched


GUITAR = (
    "An acoustic guitar with a round sound hole and a light wooden body. "
    "This drawing can be used in school books, on posters, in programmes for concerts and on web pages about music. "
    "It was made as a vector drawing, so that it stays sharp at any size, and it was then turned into a picture. "
    "The guitar has six strings, a dark neck with frets, a head with tuning pegs and a bridge glued to the top. "
    "Other drawings by the same artist show a trumpet, a violin, a drum, a piano, a flute, a harp and a saxophone. "
    "All of them may be copied, changed and sold by anybody for any purpose, because they are in the public domain. "
    "If you like this drawing, tell your friends about the library, or better still, draw something and send it in. "
    "Teachers like to print the outlines and let the children colour them during the lesson. "
    "Bands have put this guitar on their tickets, on shirts and even on the door of a bus. "
    "Please note that the strings are drawn a little too far apart, which every guitar player sees at once, "
    "and which the artist promised to correct in the next version of the drawing."
)
OLD_TREES = (
    "这幅长卷描绘的是一片空旷的秋日平原。画面的右边，几株老树立在水边，枝干弯曲，叶子已经落尽。树下有一条小路，两位老人扶着拐杖慢慢走过，"
    "后面跟着抱琴的书童。再往左看，河面渐渐变宽，一只小船停在岸边，船上的渔夫正在收网。远处的山峰藏在薄雾里，若隐若现，让人觉得天地十分辽阔。"
    "画家用淡墨一层一层地染出雾气，又用浓墨勾出树枝，远近的差别因此非常清楚。岸边还有一座小亭子，仆人们正在准备酒菜，等待客人到来。"
    "有人认为，这幅画是画家送给一位即将告老还乡的朋友的，老树和暮色都在暗示人生的晚年，而亭子里的聚会则是为了送别。"
    "整幅作品安静而深远，没有鲜艳的颜色，却能让看画的人停留很久，想起自己走过的路和那些已经远去的朋友。"
)
OLD_KEY = "Old key for sale, vintage key, antique brass key, skeleton key for a door, "
BOILERPLATE = "Free clip art download, picture in high quality"

OPENCLIPART = (
    Planted("exact_duplicate_kept", "keep", "clip:food/beverages/teapot_ganson.png", "A teapot with a blue band"),
    *(
        Planted("failed_to_download", "download:failed_to_download", "", text)
        for text in (
            "A red tractor in a field of wheat",
            "Two cats on the roof of an old house",
            "Snow on the mountains behind the lake",
            "一辆红色的拖拉机停在麦田里",
        )
    ),
    Planted("too_small", "image_size", "met:438822", "A lion has caught its prey in the jungle", edits.thumbnail),
    Planted(
        "html",
        "keep",
        "clip:food/fruit/apple_core_01.png",
        "<p>An <b>apple core</b>, almost finished being eaten&nbsp;&amp; left on the table</p><br/>",
    ),
    Planted(
        "control_characters",
        "keep",
        "clip:animals/bison_leif_lodahl_01.png",
        "A brown bison\x07 standing\x1b on a field",
    ),
    Planted(
        "file_name_at_the_end",
        "keep",
        "clip:food/bowl_of_steaming_soup_01.png",
        "A bowl of steaming hot soup on the table IMG_2034.JPG",
    ),
    Planted("emoji_zwj", "emoji", "emoji:1f52c", "A scientist at her microscope in the laboratory 👩‍🔬"),
    Planted(
        "german",
        "language",
        "clip:computer/hardware/laserprinter.png",
        "Ein grauer Drucker steht neben dem Bildschirm auf dem Schreibtisch",
    ),
    Planted(
        "arabic",
        "characters",
        "clip:transportation/vehicles/ambulans_romus_01.png",
        "سيارة إسعاف في طريقها إلى المستشفى",
    ),
    Planted("too_long", "text_length", "clip:recreation/music/guitar_ganson.png", GUITAR),
    Planted(
        "cut_png", "unreadable:truncated", "clip:animals/birds/rooster_01.png", "A rooster on the farm", edits.cut_png
    ),
    Planted("not_an_image", "unreadable:not_an_image", "emoji:1f681", "A helicopter above the city", edits.error_page),
    Planted("empty_file", "unreadable:empty", "emoji:1f680", "A rocket on its way to the moon", edits.empty),
    Planted(
        "claims_60000_pixels",
        "image_pixels",
        "clip:food/pizza_4_stagioni_archite_01.png",
        "A slice of pizza with ham and mushrooms",
        edits.claims_60000,
    ),
    Planted("empty_caption", "text_length", "clip:computer/hardware/lcd_monitor_the_structor_.png", ""),
    Planted(
        "palette_alpha",
        "keep",
        "emoji:1f99c",
        "A parrot with red and green feathers on a transparent background",
        edits.palette_alpha,
    ),
    Planted("16_bit_png", "image_mode", "met:459084", "Portrait of a woman in a black dress", edits.png_16_bit),
    Planted("animated_gif", "image_format", "emoji:1f3a0", "A wooden horse on the carousel", edits.animated_gif),
    Planted("invalid_utf8", "unreadable:invalid_utf8", "emoji:1f950", b"A croissant from the caf\xe9 on the corner"),
    Planted("nul_byte", "keep", "emoji:1f968", "A salted pretzel\x00 from the bakery"),
    Planted("exact_duplicate", "duplicate_image", "clip:food/beverages/teapot_ganson.png", "A teapot with a blue band"),
    *(
        Planted("failed_to_resize", "download:failed_to_resize", "", text)
        for text in (
            "An old bridge across the river in autumn",
            "A market street with fruit and flowers",
        )
    ),
)

EMOJI = (
    Planted("too_few_bytes", "image_bytes", "emoji:1f34b", "A yellow lemon with a green leaf"),
    Planted(
        "html",
        "keep",
        "emoji:1f980",
        '<a href="/crab.html" title="crab">A red crab</a> with two large claws &ndash; seen from the front',
    ),
    Planted(
        "html_chinese", "keep", "emoji:1f99e", '<div class="title">一只<em>红色</em>的大龙虾&nbsp;张开两只钳子</div>'
    ),
    Planted(
        "zero_width_characters",
        "keep",
        "emoji:1f6e9",
        "A small air\u200bplane with a pro\u200dpeller\ufeff at its nose",
    ),
    Planted("emoji_plain", "emoji", "emoji:1f40b", "A blue whale swims in the deep sea 🌊"),
    Planted("emoji_keycap", "emoji", "emoji:1f947", "The gold medal for place 1️⃣ in the final race"),
    Planted("emoji_chinese", "emoji", "emoji:1f382", "生日快乐🎂我们一起吃蛋糕"),
    Planted(
        "french", "language", "emoji:1f490", "Un bouquet de fleurs colorées, offert pour un anniversaire de mariage"
    ),
    Planted("russian", "characters", "emoji:1f408", "Рыжая кошка сидит на подоконнике и смотрит в окно"),
    Planted("japanese", "characters", "emoji:1f415", "かわいい犬が公園で元気に走っています"),
    Planted("korean", "characters", "emoji:1f43f", "다람쥐가 숲속에서 나무를 오르고 있습니다"),
    Planted("too_short", "text_length", "emoji:1f9ae", "a dog"),
    Planted("too_short_chinese", "text_length", "emoji:1f992", "长颈鹿"),
    Planted("too_short_chinese", "text_length", "emoji:1f993", "斑马"),
    Planted("too_few_words", "word_count", "emoji:1f98b", "butterfly"),
    Planted("too_few_words", "word_count", "emoji:1fabc", "swimming jellyfish"),
    Planted("one_megabyte", "text_length", "emoji:1f5dd", OLD_KEY * (1_000_000 // len(OLD_KEY) + 1)),
    Planted("two_captions_kept", "keep", "emoji:1f3a1", "A ferris wheel with colourful cabins in the amusement park"),
    Planted("across_sources_kept", "keep", "emoji:1f99a", "一只开屏的孔雀，羽毛有绿色也有蓝色，非常漂亮"),
    Planted("cut_webp", "unreadable:truncated", "emoji:2744", "A snowflake with six branches", edits.cut_webp),
    Planted("only_spaces", "text_length", "emoji:1f517", "   "),
    Planted("markup_chinese", "markup", "emoji:1f412", "<ref>一只猴子</ref><box>(120,40),(870,960)</box>坐在树上"),
    Planted("animated_webp", "animated", "emoji:1f310", "A globe with its meridians turns around", edits.animated_webp),
    Planted("static_gif", "image_format", "emoji:1f9f8", "A brown teddy bear for children", edits.static_gif),
    Planted("two_captions", "duplicate_image", "emoji:1f3a1", "A ferris wheel with cabins"),
    *(
        Planted("repeated_text", "keep" if number < 10 else "repeated_text", f"emoji:{code}", BOILERPLATE)
        for number, code in enumerate(
            (
                "26bd",
                "26be",
                "1f3be",
                "1f3c0",
                "1f3f8",
                "1f94d",
                "1f3af",
                "1f9e9",
                "1f3ad",
                "1f9f6",
                "1fa81",
                "2693",
                "2702",
            )
        )
    ),
)

MUSEUM = (
    Planted(
        "too_narrow",
        "aspect_ratio",
        "met:435702",
        "A long row of horses and their handlers at the horse fair",
        edits.strip,
    ),
    Planted(
        "repeated_punctuation",
        "keep",
        "met:436105",
        "The Death of Socrates!!!!!!!!!! A painting by Jacques Louis David......... from 1787 ~~~~~~",
        edits.small_jpeg,
    ),
    Planted("emoji_flag", "emoji", "met:436002", "Woman with a parrot, painted in France 🇫🇷 in 1866", edits.small_jpeg),
    Planted("french", "language", "met:437881", "Jeune femme à l'aiguière, debout à la fenêtre", edits.small_jpeg),
    Planted("russian", "characters", "met:439933", "Музыкант играет на лютне", edits.small_jpeg),
    Planted("too_many_words", "word_count", "met:39668", OLD_TREES),
    Planted("across_sources", "duplicate_image", "emoji:1f99a", "一只开屏的孔雀"),
    Planted("cut_jpeg", "unreadable:truncated", "met:436839", "The Penitent Magdalen by candlelight", edits.cut_jpeg),
    Planted("jpeg_named_png", "keep", "met:436440", "Two children gather wood near a cottage", edits.jpeg_named_png),
    Planted(
        "markup",
        "markup",
        "met:456949",
        "A great fruit bat <box>(112,80),(905,930)</box> spreads one of its wings",
        edits.small_jpeg,
    ),
    Planted(
        "special_tag",
        "special_tag",
        "met:436658",
        "Portrait of <PERSON> in a black cap, painted in 1532",
        edits.small_jpeg,
    ),
    Planted("cmyk", "keep", "met:437326", "A blind giant walks towards the rising sun", edits.cmyk),
    Planted(
        "exif_rotated", "keep", "met:436944", "A Spanish singer with his guitar sits on a bench", edits.exif_rotated
    ),
    Planted("bmp", "image_format", "met:438816", "A forest in winter at sunset, with bare old trees", edits.bmp),
)

BY_SOURCE = {"openclipart": OPENCLIPART, "emoji": EMOJI, "museum": MUSEUM}


def with_urls() -> Iterator[tuple[str, str, Planted]]:
    """(url, source, row) of every planted row; the url is `planted://KIND`, numbered where a kind has several rows."""
    counts = Counter(row.kind for rows in BY_SOURCE.values() for row in rows)
    seen: Counter[str] = Counter()
    for source, rows in BY_SOURCE.items():
        for row in rows:
            seen[row.kind] += 1
            number = f"/{seen[row.kind]:02d}" if counts[row.kind] > 1 else ""
            yield f"planted://{row.kind}{number}", source, row
