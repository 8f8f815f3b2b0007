"""Lines of forms filled by Faker: invoices, receipts, name cards and lists of people."""

from collections.abc import Callable

import numpy as np
from faker import Faker

from qvl.synth_ocr.scene.corpus import Language, faker_of, random_date, random_time
from qvl.synth_ocr.scene.layout import Area, Box, Plan

WORDS = {
    "en": ("Invoice", "Date", "No.", "Total", "Receipt", "Name", "Phone", "Email", "Address", "Company", "Account"),
    "zh": ("发票", "日期", "编号", "合计", "收据", "姓名", "电话", "邮箱", "地址", "公司", "账号"),
}


def _amount(rng: np.random.Generator, language: Language) -> str:
    """A random amount of money."""
    amount = float(rng.integers(100, 500_000)) / 100
    return f"${amount:,.2f}" if language == "en" else f"¥{amount:,.2f}"


def invoice(faker: Faker, rng: np.random.Generator, language: Language) -> list[str]:
    title, date, number, total, _, name, _, _, address, company, account = WORDS[language]
    lines = [
        title,
        f"{company}: {faker.company()}",
        f"{number}: {faker.bothify('??-#####').upper()}",
        f"{date}: {random_date(faker)}",
    ]
    lines += [f"{name}: {faker.name()}", f"{address}: {_one_line(faker.address())}", f"{account}: {faker.bban()}"]
    lines += [f"{faker.word()} {faker.word()}  {_amount(rng, language)}" for _ in range(int(rng.integers(2, 7)))]
    return [*lines, f"{total}: {_amount(rng, language)}"]


def receipt(faker: Faker, rng: np.random.Generator, language: Language) -> list[str]:
    words = WORDS[language]
    lines = [faker.company(), words[4], f"{words[1]}: {random_date(faker)} {random_time(faker)}"]
    lines += [
        f"{faker.word()} x{int(rng.integers(1, 9))} {_amount(rng, language)}" for _ in range(int(rng.integers(3, 10)))
    ]
    return [*lines, f"{words[3]} {_amount(rng, language)}"]


def name_card(faker: Faker, rng: np.random.Generator, language: Language) -> list[str]:
    words = WORDS[language]
    contact = [f"{words[6]}: {faker.phone_number()}", f"{words[7]}: {faker.email()}"]
    return [faker.company(), faker.name(), faker.job(), *contact, _one_line(faker.address())]


def people(faker: Faker, rng: np.random.Generator, language: Language) -> list[str]:
    return [f"{faker.name()}  {faker.phone_number()}" for _ in range(int(rng.integers(4, 14)))]


def _one_line(text: str) -> str:
    return text.replace("\n", ", ")


KINDS: tuple[Callable[[Faker, np.random.Generator, Language], list[str]], ...] = (invoice, receipt, name_card, people)


def form_lines(language: Language, rng: np.random.Generator) -> list[str]:
    """The lines of one form. Equal generators give equal lines."""
    faker = faker_of(language, rng)
    return KINDS[int(rng.integers(len(KINDS)))](faker, rng, language)


def form_plan(lines: list[str], area: Area, rng: np.random.Generator) -> Plan:
    """One box per line, small enough for the longest line to fit."""
    left, top, width, height = area
    longest = max(sum(1.0 if ord(c) > 0x2E80 else 0.56 for c in line) for line in lines)
    size = min(height / (len(lines) * 1.35), width / max(longest, 1.0), min(width, height) * 0.09)
    pitch = min(height / len(lines), size * float(rng.uniform(1.3, 2.0)))
    boxes = [Box(left, top + i * pitch, width, size, "center" if i == 0 else "left", i // 4) for i in range(len(lines))]
    return Plan("form", boxes)
