"""Pages made of Jinja2 templates and faker: invoice, table, form, news, chat, in English and Chinese."""

from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from qvl.synth_ocr.scene.corpus import day, faker_of, hour

NAMES = ("invoice", "table", "form", "news", "chat")
FAMILIES = {
    "en": ("Liberation Sans", "Liberation Serif", "DejaVu Sans", "DejaVu Serif", "Liberation Mono"),
    "zh": ("Noto Sans CJK SC", "Noto Serif CJK SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "AR PL UKai CN"),
}
WORDS = {
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


def filled(language: Literal["en", "zh"], rng: np.random.Generator) -> str:
    """A page; equal generators give equal text."""
    name = NAMES[int(rng.integers(len(NAMES)))]
    look = {
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
        f=faker, day=lambda: day(faker), hour=lambda: hour(faker), t=WORDS[language], language=language, **look
    )
