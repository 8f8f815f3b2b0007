"""Verdicts as numbers (uint8) while rows are selected: filters first, then benchmarks, duplicate rules, balance."""

import numpy as np

from qvl.pipeline.balance.limits import LOST
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.selection.judge import FAULT_BIT, first_failed
from qvl.pipeline.curate.selection.step_files import load_part
from qvl.pipeline.curate.selection.task import SelectTask
from qvl.pipeline.duplicates.rules import LOSER, DuplicateRule, vector_partitions
from qvl.pipeline.filters import FILTER_NAMES
from qvl.pipeline.recipe.balance import BalanceStep
from qvl.pipeline.storage.arrow_files import load_array
from qvl.pipeline.storage.paths import map_concurrently

KEEP_CODE = 0
# 1 and on: the filters, in their order
FIRST_BENCHMARK = 100
FIRST_DUPLICATE_RULE = 200
FIRST_BALANCE = 220
FAULT_CODE = 255  # the verdict is the row's fault
CODES = 256


def filter_codes(failed: np.ndarray) -> np.ndarray:
    """Verdict codes (uint8) of the filters, from the bits that ``judge`` left: keep, fault, or the first failed filter."""
    codes = first_failed(failed).astype(np.uint8)
    codes[failed == FAULT_BIT] = FAULT_CODE
    return codes


def codes_after_filters(task: SelectTask, group: int) -> np.ndarray:
    """Verdict codes of a group after the filters alone."""
    return filter_codes(load_array(Layout(task.out).work("judged", group)))


def codes_after(task: SelectTask, group: int, rule: int) -> np.ndarray:
    """Verdict codes of a group after the filters, decontamination and the first ``rule`` duplicate rules."""
    codes = codes_after_filters(task, group)
    if task.recipe.decontaminate:
        benchmarks = load_array(Layout(task.out).work("benchmarks", group))
        codes[benchmarks > 0] = benchmarks[benchmarks > 0]
    for number in range(rule):
        codes[losers_in_group(task, group, number)["row"]] = FIRST_DUPLICATE_RULE + number
    return codes


def codes_after_balance(task: SelectTask, group: int, steps: int) -> np.ndarray:
    """Verdict codes of a group after all duplicate rules and the first ``steps`` steps of balance."""
    codes = codes_after(task, group, len(task.rules))
    for number in range(steps):
        codes[lost_to_balance(task, group, number)["row"]] = FIRST_BALANCE + number
    return codes


def lost_to_balance(task: SelectTask, group: int, number: int) -> np.ndarray:
    """The rows (LOST) of one group that one step of balance dropped, over all partitions."""
    step = f"balanced-{task.recipe.balance[number].name}"
    found = map_concurrently(task.out, lambda part: load_part(task, step, part, group), range(task.partitions))
    return np.concatenate([np.empty(0, LOST), *found])


def losers_in_group(task: SelectTask, group: int, rule: int) -> np.ndarray:
    """The losers (LOSER) of one rule that lie in one group, over all partitions."""
    chosen = task.rules[rule]
    parts = task.partitions if chosen.semantic is None else vector_partitions(chosen.semantic, task.rows)
    files = [(f"losers-{chosen.step}", part) for part in range(parts)]
    if chosen.near is not None:
        files.append((f"settled-{chosen.step}", 0))
    found = map_concurrently(task.out, lambda file: load_part(task, *file, group), files)
    return np.concatenate([np.empty(0, LOSER), *found])


def verdict_names(
    rules: tuple[DuplicateRule, ...],
    benchmarks: tuple[str, ...] = (),
    filters: tuple[str, ...] = FILTER_NAMES,
    balance: tuple[BalanceStep, ...] = (),
) -> list[str | None]:
    """The verdict of each code; None for codes without one, and for rows whose verdict is their fault."""
    names: list[str | None] = [None] * CODES
    names[KEEP_CODE] = KEEP
    names[1 : 1 + len(filters)] = filters
    names[FIRST_BENCHMARK : FIRST_BENCHMARK + len(benchmarks)] = [f"benchmark:{name}" for name in benchmarks]
    for number, rule in enumerate(rules):
        names[FIRST_DUPLICATE_RULE + number] = rule.reason
    names[FIRST_BALANCE : FIRST_BALANCE + len(balance)] = [step.reason for step in balance]
    return names
