"""Pages made from Jinja2 templates and Faker: invoice, table, form, news and chat, in English and Chinese."""

from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from qvl.synth_ocr.scene.corpus import faker_of, random_date, random_time

NAMES = ("invoice", "table", "form", "news", "chat")
FAMILIES = {
    "en": ("Liberation Sans", "Liberation Serif", "DejaVu Sans", "DejaVu Serif", "Liberation Mono"),
    "zh": ("Noto Sans CJK SC", "Noto Serif CJK SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "AR PL UKai CN"),
}
LABELS = {
    "en": {
        "invoice": "Invoice", "date": "Date", "to": "Bill to", "item": "Item", "quantity": "Quantity", "price": "Price",
        "total": "Total", "name": "Name", "city": "City", "phone": "Phone", "job": "Position", "email": "Email",
        "address": "Address", "company": "Company", "staff": "Staff", "application": "Application form", "note": "Notes",
    },
    "zh": {
        "invoice": "发票", "date": "日期", "to": "收件人", "item": "项目", "quantity": "数量", "price": "单价",
        "total": "合计", "name": "姓名", "city": "城市", "phone": "电话", "job": "职位", "email": "邮箱",
        "address": "地址", "company": "公司", "staff": "员工名单", "application": "申请表", "note": "备注",
    },
}  # fmt: skip


@cache
def _environment() -> Environment:
    return Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined)


def fill_template(language: Literal["en", "zh"], rng: np.random.Generator) -> str:
    """The HTML of a random page. Equal generators give equal text."""
    name = NAMES[int(rng.integers(len(NAMES)))]
    appearance = {
        "family": FAMILIES[language][int(rng.integers(len(FAMILIES[language])))],
        "size": int(rng.integers(13, 23)),
        "hue": int(rng.integers(0, 360)),
        "dark": bool(rng.random() < 0.2),
        "rows": int(rng.integers(3, 14)),
        "wide": int(rng.integers(60, 100)),
    }
    template = _environment().get_template(f"{name}.html")
    faker = faker_of(language, rng)
    return template.render(
        f=faker,
        day=lambda: random_date(faker),
        hour=lambda: random_time(faker),
        t=LABELS[language],
        language=language,
        **appearance,
    )
