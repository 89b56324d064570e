"""Loops as machine code: compiled by numba once, and kept.

numba takes longer to import and to wake than a small scan takes. So nothing here imports it
before something must be compiled, and a loop whose kinds of arguments are declared (`native`) is
kept as object code, which LLVM loads by itself in a few milliseconds in every later process.
What is kept is found by a digest of the sources, the kinds, the processor and the versions: it
is never used for anything else, and where there is no folder to keep it in, loops are compiled
anew. All compiled code lets other threads run and divides as numpy does.

numba frees an array after its last use by name, and an address taken from it (`ctypes.data`) is
no use: who hands one to a vector loop uses the array by name afterwards.
"""

import ctypes
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

LOOSE: Final = frozenset(("reassoc", "contract", "nsz"))
"""Sums may be taken in another order, as vector instructions do; NaN stays NaN."""

_SCALARS: Final[dict[str, Any]] = {"int64": ctypes.c_int64, "float64": ctypes.c_double}
_NEVER: Final = ("numba_", "NRT_")
"""Begin the names of what numba's code calls where a loop raises or makes arrays, which those
kept here never do."""

THREADS: Final = "EQUIPOISE_THREADS"
"""Variable of the environment that says how many threads may compute."""

_lock: Final = Lock()


class Late:
    """Stands for a module that is imported when something that uses it is compiled."""

    def __init__(self, name: str) -> None:
        """Take the module's name."""
        self.name = name

    def __getattr__(self, name: str) -> Any:
        """Return what the module has of that name."""
        return getattr(import_module(self.name), name)


class Loop:
    """A loop that is compiled at its first call, for whatever it is called with."""

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        """Take the function as written."""
        self.function, self.options = function, options
        self.__doc__, self.__name__ = function.__doc__, function.__name__
        self.__module__, self.__wrapped__ = function.__module__, function
        self.ready: Callable[..., Any] | None = None

    def __call__(self, *args: Any) -> Any:
        """Run it."""
        return (self.ready or self.dispatcher())(*args)

    def dispatcher(self) -> Callable[..., Any]:
        """Return numba's own, with all that the function calls made into such before."""
        with _lock:
            return _dispatcher(self)


class Native(Loop):
    """A loop of declared kinds, kept as object code.

    kinds  of its arguments: `int64`, `float64`, or an array such as `uint8[:,:]`, in C order
    """

    def __init__(self, function: Callable[..., Any], kinds: tuple[str, ...]) -> None:
        """Take the function as written."""
        super().__init__(function)
        self.kinds = kinds
        self._entry: Any = None

    def __call__(self, *args: Any) -> Any:
        """Run it; ValueError for arguments of other kinds."""
        flat: list[Any] = []
        for kind, value in zip(self.kinds, args, strict=True):
            if kind in _SCALARS:
                flat.append(value)
                continue
            dtype, _, axes = kind.partition("[")
            if value.dtype != dtype or value.ndim != axes.count(":"):
                raise ValueError(f"{self.__name__} takes {kind}, not {value.dtype} {value.shape}")
            if not value.flags.c_contiguous:
                raise ValueError(f"{self.__name__} takes rows that follow one another")
            flat += (value.ctypes.data, *value.shape)
        if self._entry is None:
            with _lock:
                self._entry = self._entry or self._opened()
        self._entry(*(args if self._entry is self.ready else flat))

    def _opened(self) -> Any:
        """Return the loop as a function of ctypes, loaded or compiled; numba's own at worst."""
        binding = import_module("llvmlite.binding")
        name = f"{self.__module__}.{self.__name__}"
        kept = _folder() / f"{name}-{self._digest(binding)}.o"
        held = _kept(kept)
        if held is None:
            held = self._compiled()
            _keep(kept, held)
        told, _, code = held.partition(b"\n")
        content = json.loads(told)
        addresses = {name: _address(name) for name in content["needs"]}
        if None in addresses.values():
            return _dispatcher(self, kept=False)
        engine = _engine(binding)
        for symbol, address in addresses.items():
            # What numba has named itself stays: its own code calls it. What it names later
            # takes the place of ours.
            if binding.address_of_symbol(symbol) is None:
                binding.add_symbol(symbol, address)
        engine.add_object_file(binding.ObjectFileRef.from_data(code))
        engine.finalize_object()
        flat: list[Any] = []
        for kind in self.kinds:
            scalar = _SCALARS.get(kind)
            flat += [scalar] if scalar else [ctypes.c_void_p, *[ctypes.c_int64] * kind.count(":")]
        return ctypes.CFUNCTYPE(None, *flat)(engine.get_function_address(content["entry"]))

    def _digest(self, binding: Any) -> str:
        """Return what the object code depends on."""
        told = [_surroundings(binding), self.__module__, self.__name__, *self.kinds]
        joint = hashlib.sha256("\n".join(told).encode())
        joint.update(Path(cast("str", sys.modules[self.__module__].__file__)).read_bytes())
        return joint.hexdigest()[:24]

    def _compiled(self) -> bytes:
        """Return the name of the entry and of what it needs, in one line, and the object code."""
        numba = import_module("numba")
        pointers: list[Any] = []
        call: list[str] = []
        names: list[str] = []
        for i, kind in enumerate(self.kinds):
            if kind in _SCALARS:
                pointers.append(getattr(numba.types, kind))
                names.append(f"x{i}")
                call.append(f"x{i}")
                continue
            axes = [f"n{i}_{axis}" for axis in range(kind.count(":"))]
            pointers += [numba.types.CPointer(getattr(numba.types, kind.partition("[")[0]))]
            pointers += [numba.types.int64] * len(axes)
            names += [f"p{i}", *axes]
            call.append(f"carray(p{i}, ({', '.join(axes)},))")
        # All code lies in one engine: no two entries may have the same name.
        entry = f"entry_{self._digest(import_module('llvmlite.binding'))}"
        text = f"def {entry}({', '.join(names)}):\n    loop({', '.join(call)})\n"
        held: dict[str, Any] = {"loop": _dispatcher(self, kept=False), "carray": numba.carray}
        exec(text, held)  # noqa: S102  (of names and kinds of our own)
        made = numba.cfunc(numba.types.void(*pointers), error_model="numpy")(held[entry])
        _, _, (code, _) = made._library.serialize_using_object_code()
        declared = (f.name for f in made._library._final_module.functions if f.is_declaration)
        data = (v.name for v in made._library._final_module.global_variables if v.is_declaration)
        needs = sorted(name for name in (*declared, *data) if not name.startswith("llvm."))
        told = {"entry": made._wrapper_name, "needs": needs}
        return json.dumps(told).encode() + b"\n" + code


@cache
def _engine(binding: Any) -> Any:
    """Return what loads object code, and keeps it for as long as the process lasts."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_default_triple().create_target_machine()
    return binding.create_mcjit_compiler(binding.parse_assembly(""), machine)


@cache
def _surroundings(binding: Any) -> str:
    """Return what all object code depends on: processor, versions, the sources of every loop."""
    features = sorted(k for k, v in binding.get_host_cpu_features().items() if v)
    told = [binding.get_host_cpu_name(), *features, sys.platform]
    told += [str(binding.llvm_version_info), str(sys.version_info[:2])]
    here = Path(__file__)
    sources = [here, here.parent / "packed" / "vectors.py"]
    told += [hashlib.sha256(source.read_bytes()).hexdigest() for source in sources]
    return "\n".join(told)


def _dispatcher(loop: Loop, *, kept: bool = True) -> Callable[..., Any]:
    """Return numba's dispatcher of a loop, once those it calls and its late modules are there.

    kept  whether numba keeps the code: it goes by the loop's own file alone, so that it would
          give a loop as it was before one that it calls was changed in another file
    """
    if loop.ready is None:
        numba = import_module("numba")
        options = {"nogil": True, "error_model": "numpy", **loop.options}
        try:
            loop.ready = numba.njit(cache=kept, **options)(loop.function)
        except RuntimeError:  # no folder to keep it in
            loop.ready = numba.njit(**options)(loop.function)
        around = loop.function.__globals__
        for name in loop.function.__code__.co_names:
            used = around.get(name)
            if isinstance(used, Loop):
                around[name] = _dispatcher(used, kept=kept)
            elif isinstance(used, Late):
                around[name] = import_module(used.name)
    return cast("Callable[..., Any]", loop.ready)


def compiled(loop: F) -> F:
    """Return the loop, compiled at its first call.

    >>> @compiled
    ... def half(x: float) -> float:
    ...     return x / 2
    >>> half(3.0)
    1.5
    """
    return cast("F", Loop(loop))


def vectorised(loop: F) -> F:
    """Return the loop, compiled so that the order of additions is left to the machine."""
    return cast("F", Loop(loop, fastmath=set(LOOSE)))


def instruction(builder: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that builds code of LLVM as one that compiled loops may call."""
    return cast("Callable[..., Any]", import_module("numba.extending").intrinsic(builder))


def native(*kinds: str) -> Callable[[F], F]:
    """Return what makes a loop of these kinds of arguments, kept as object code.

    The loop neither makes arrays nor raises: it works in what it is given.

    >>> import numpy as np
    >>> @native("float64[:]", "float64")
    ... def scale(values, by):
    ...     for i in range(len(values)):
    ...         values[i] *= by
    >>> held = np.array([1.0, 2.0])
    >>> scale(held, 3.0)
    >>> held
    array([3., 6.])
    """
    return lambda loop: cast("F", Native(loop, kinds))


def _address(name: str) -> int | None:
    """Return where a symbol of object code is: of Python, of the mathematical library, or none."""
    if name.startswith(_NEVER):
        name = "Py_FatalError"
    for library in (ctypes.pythonapi, _everything()):
        with suppress(ValueError):
            return ctypes.addressof(ctypes.c_char.in_dll(library, name))
    return None


@cache
def _everything() -> ctypes.CDLL:
    """Return what finds symbols of all libraries that are loaded."""
    return ctypes.CDLL(None)


def _folder() -> Path:
    """Return where object code is kept: beside the sources, or in the user's cache."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    if named:
        return Path(named)
    beside = Path(__file__).parent / "__pycache__"
    if os.access(beside if beside.is_dir() else beside.parent, os.W_OK):
        return beside
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "equipoise"


def _kept(path: Path) -> bytes | None:
    """Return the object code of a file; None where there is none, or it is not whole."""
    with suppress(OSError):
        held = path.read_bytes()
        if hashlib.sha256(held[32:]).digest() == held[:32]:
            return held[32:]
    return None


def _keep(path: Path, code: bytes) -> None:
    """Write object code after its digest; where it cannot be kept, nothing is."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(code).digest() + code)
        Path(partial).replace(path)


def threads() -> int:
    """Return how many threads may compute: what a command was told, else as many as there are cores.

    For work that no executor is handed to, as what follows from totals at every party.
    """
    told = os.environ.get(THREADS, "")
    if told.isdecimal() and int(told) > 0:
        return int(told)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
