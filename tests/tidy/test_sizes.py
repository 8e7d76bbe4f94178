"""Small enough to be read: functions, files, parameters."""

import ast

FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 400
PARAMETERS_MAX = 7
COLLABORATORS_MAX = 8
"""Keyword-only parameters of what makes something."""

GRANTED = {
    "federation.client.client.request": "a request has that many parts; most are keywords",
    "homeserver.core.event.builder.build_event": "an event has that many fields; all are keywords",
    "storage.tables.events.add_event": "a row has that many columns; all are keywords",
}
"""Functions that may take more, and why."""


def functions_of(source):
    return [
        node for node in ast.walk(source.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def test_functions_fit_on_a_screen(sources):
    long = [
        f"{source.path}:{function.lineno} {function.name} has {lines} lines"
        for source in sources
        for function in functions_of(source)
        if (lines := function.end_lineno - function.lineno + 1) > FUNCTION_LINES_MAX
    ]

    assert long == []


def test_files_are_short(sources):
    long = [
        f"{source.path} has {lines} lines"
        for source in sources
        if (lines := source.text.count("\n")) > FILE_LINES_MAX
    ]

    assert long == []


def takes_too_much(function):
    taken = function.args
    by_place = [each for each in (*taken.posonlyargs, *taken.args) if each.arg not in {"self", "cls"}]
    count = len(by_place) + len(taken.kwonlyargs)
    return count > (PARAMETERS_MAX if by_place[1:] else COLLABORATORS_MAX)


def is_command(function):
    """Whether the command line makes an option of each parameter."""
    return any(
        isinstance(one.annotation, ast.Subscript) and ast.unparse(one.annotation).startswith("Annotated[")
        for one in (*function.args.args, *function.args.kwonlyargs)
    )


def test_functions_take_few_parameters(ours):
    greedy = [
        f"{source.path}:{function.lineno} {function.name}"
        for source in ours
        for function in functions_of(source)
        if takes_too_much(function) and not is_command(function)
        if f"{source.module}.{function.name}" not in GRANTED
    ]

    assert greedy == []
