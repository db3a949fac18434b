"""A small mutator: every way to get one operator, number, word or condition of a module wrong."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

_OPERATORS: dict[type, tuple[type, ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add, ast.Div),
    ast.Div: (ast.Mult,),
    ast.Mod: (ast.Mult,),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.Lt: (ast.LtE, ast.Gt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
}


def mutants(path: Path) -> Iterator[tuple[str, ModuleType]]:
    """Each mutant of a module, named by its line and what was changed."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for number, (node, field, changed) in enumerate(_changes(tree)):
        mutant = copy.deepcopy(tree)
        twin = next(n for n in ast.walk(mutant) if _is_twin(n, node))
        setattr(twin, field, changed)
        module = ModuleType(f"{path.stem}_mutant_{number}")
        exec(compile(ast.fix_missing_locations(mutant), str(path), "exec"), module.__dict__)
        yield f"line {getattr(node, 'lineno', 0)}: {ast.unparse(node)} -> {ast.unparse(twin)}", module


def _is_twin(one: ast.AST, other: ast.AST) -> bool:
    places = ("lineno", "col_offset", "end_lineno", "end_col_offset")
    return type(one) is type(other) and all(getattr(one, p, None) == getattr(other, p, None) for p in places)


def _changes(tree: ast.AST) -> Iterator[tuple[ast.AST, str, Any]]:
    told = {id(part) for node in ast.walk(tree) for part in _told(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp | ast.BoolOp):
            yield from ((node, "op", other()) for other in _OPERATORS.get(type(node.op), ()))
        elif isinstance(node, ast.Compare) and len(node.ops) == 1:
            yield from ((node, "ops", [other()]) for other in _OPERATORS.get(type(node.ops[0]), ()))
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            yield node, "op", ast.UAdd()
        elif isinstance(node, ast.If | ast.IfExp):
            yield node, "test", ast.UnaryOp(ast.Not(), node.test)
        elif isinstance(node, ast.Constant) and id(node) not in told:
            yield from ((node, "value", other) for other in _values(node.value))


def _told(node: ast.AST) -> Iterator[ast.AST]:
    """Texts that say something to people and decide nothing: docstrings and the text of a finding."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        yield node.value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "fault":
        yield node.args[2]
    if isinstance(node, ast.FunctionDef):  # the path that a check starts at where none is given
        yield from node.args.defaults


def _values(value: Any) -> tuple[Any, ...]:
    if isinstance(value, str):
        return (f"{value}X",)
    return (value + 1,) if isinstance(value, int) and not isinstance(value, bool) else ()
