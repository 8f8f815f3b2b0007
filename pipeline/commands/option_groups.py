"""Options of a command in groups: the function gets a record for a group instead of a parameter for each option."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from typing import Any, get_type_hints


def with_option_groups(command: Callable[..., None]) -> Callable[..., None]:
    """The command as Typer needs it: a parameter whose type is a dataclass becomes the options that are its fields.

    The fields are annotated as parameters of a command are; their names are the names of the options, and of the keyword
    arguments by which Python code calls the command.
    """
    parameters: list[inspect.Parameter] = []
    groups: dict[str, type[Any]] = {}
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        if isinstance(parameter.annotation, type) and is_dataclass(parameter.annotation):
            groups[parameter.name] = parameter.annotation
            parameters += _options(parameter.annotation)
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(command)
    def run(**values: Any) -> None:
        records = {
            name: kind(**{each.name: values.pop(each.name) for each in fields(kind)}) for name, kind in groups.items()
        }
        command(**records, **values)

    run.__dict__["__signature__"] = inspect.Signature(parameters)
    return run


def _options(kind: type[Any]) -> list[inspect.Parameter]:
    """The fields of a group as keyword-only parameters, which may be required after others that are not."""
    types = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if each.default is MISSING else each.default,
            annotation=types[each.name],
        )
        for each in fields(kind)
    ]
