"""How names of Avro types resolve, for whoever reads a schema (specification 1.12, Names).

A name with a dot is a full name, and a namespace beside it is ignored. A name without one belongs
to the namespace that its definition gives, else to that of the record around it. It is looked for
there only: never in the null namespace, nor in one further out. Primitive types have no namespace.
"""

from __future__ import annotations

NAME = r"[A-Za-z_][A-Za-z0-9_]*"
"""Pattern of the names of fields and symbols, and of what dots join in a type's name."""
FULL_NAME = rf"{NAME}(\.{NAME})*"


def full_name(name: str, enclosing: str, own: str | None = None) -> str:
    """Return the full name that a definition or a reference means.

    Args:
        name: as it is written.
        enclosing: namespace of the record around it; empty: the null namespace.
        own: the namespace that a definition gives; None if it gives none.
    """
    space = enclosing if own is None else own
    return name if "." in name or not space else f"{space}.{name}"


def namespace_of(full: str) -> str:
    """Return the namespace of a full name, in which names inside a record resolve."""
    return full.rpartition(".")[0]


def bare_name(full: str) -> str:
    """Return a full name without its namespace."""
    return full.rpartition(".")[2]


def reference(full: str, enclosing: str) -> str:
    """Return the shortest name by which `enclosing` refers to a type."""
    return bare_name(full) if namespace_of(full) == enclosing else full
