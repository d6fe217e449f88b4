"""Finding a worker by what a command line says."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_events.errors import PlatformEventsError, UsageError
from platform_events.wording import shown, suggest
from platform_events.workers.signatures import shown_path
from platform_events.workers.worker import Worker

if TYPE_CHECKING:
    from types import ModuleType

_FORM = "MODULE:APP, such as billing.worker:app"
_PACKAGE = str(Path(__file__).parents[1])


def load_app(text: str) -> Worker:
    """Import a module and return the worker that it has.

    Modules are looked for in the working directory first.

    Args:
        text: `module:attribute`.

    Raises:
        UsageError: it is not of that form, there is no such module or worker, the module fails to
            import, or the worker cannot run.
    """
    module_name, colon, attribute = text.partition(":")
    if not (colon and module_name and attribute):
        raise UsageError(f"{shown(text)} is not {_FORM}")
    if "/" in module_name or module_name.endswith(".py"):
        meant = module_name.removeprefix("./").removesuffix(".py").replace("/", ".").strip(".")
        raise UsageError(
            f"{shown(module_name)} is a file, and what is named is a module: did you mean "
            f"{meant}:{attribute}?"
        )
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise UsageError(f"{shown(module_name)} does not name a module: give {_FORM}")
    directory = str(Path.cwd())
    if directory not in sys.path:
        sys.path.insert(0, directory)
    worker = _attribute(_import(module_name), attribute)
    worker.check()
    return worker


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise UsageError(
                f"there is no module {error.name}: neither in {Path.cwd()} nor where Python looks "
                "for modules; go to the directory that has it, or install it"
            ) from None
        raise _failed(name, error) from error
    except SystemExit as error:
        raise UsageError(
            f"module {name} ends the program when it is imported: have it do so only under "
            "`if __name__ == '__main__':`"
        ) from error
    except Exception as error:
        raise _failed(name, error) from error


def _failed(name: str, error: Exception) -> UsageError:
    """Return what went wrong in a module, with the last place that is the user's own."""
    place = ""
    if isinstance(error, SyntaxError) and error.filename:
        place = f"{shown_path(error.filename)}:{error.lineno}"
    for frame in traceback.extract_tb(error.__traceback__):
        # Some code has no file: that of imports, and what a dataclass writes for itself.
        is_ours = frame.filename.startswith((_PACKAGE, "<", importlib.__file__ or "<"))
        if not is_ours and not isinstance(error, SyntaxError):
            place = f"{shown_path(frame.filename)}:{frame.lineno}"
    if isinstance(error, PlatformEventsError):
        what = str(error)
    else:
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        what = f"{type(error).__name__}: {' '.join(said.split())}"
    where = f"{place}: " if place and not what.startswith(f"{place}:") else ""
    return UsageError(f"module {name} cannot be imported: {where}{what}")


def _elsewhere(module: ModuleType) -> str:
    """Return where a module is that is not of the working directory: one there may be meant."""
    file = getattr(module, "__file__", None)
    if file is None:
        return (
            ", which is built into Python," if module.__name__ in sys.builtin_module_names else ""
        )
    place = shown_path(file)
    return f" at {place}" if Path(place).is_absolute() else ""


def _attribute(module: ModuleType, path: str) -> Worker:
    found: Any = module
    for name in path.split("."):
        if not hasattr(found, name):
            workers = [one for one, value in vars(module).items() if isinstance(value, Worker)]
            known = f"; it has {' and '.join(workers)}" if workers else " and no Worker at all"
            raise UsageError(
                f"module {module.__name__}{_elsewhere(module)} has no {shown(path)}"
                f"{suggest(path, workers) or known}"
            )
        found = getattr(found, name)
    if not isinstance(found, Worker):
        what = "a class" if isinstance(found, type) else f"of type {type(found).__name__}"
        raise UsageError(
            f"{module.__name__}:{path} is {what}, not a Worker: name what Worker(...) is assigned "
            "to"
        )
    return found
