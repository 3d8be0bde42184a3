"""What CPython sees of an extension module: its start, and a function for each export.

All that is asked of CPython is in the stable ABI of 3.10, so that one module serves every later
version.  Of free-threaded builds, which have none, the head of an object is longer, and a module
must say that it needs no GIL.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import binding as llvm
from llvmlite import ir

from .runtime import VOID_POINTER
from .simd import WORD

INT, BYTE = ir.IntType(32), ir.IntType(8)
NULL = ir.Constant(VOID_POINTER, None)

WINDOWS = sys.platform == "win32"

METH_FASTCALL = 0x80
PY_MOD_GIL, PY_MOD_GIL_NOT_USED = 4, 1
# The second word of a free-threaded head: that it is not allocated, and a count of all ones.
STATIC, IMMORTAL = 4, 0xFFFFFFFF << 32

# Functions of CPython: the result, and the parameters.
_CPYTHON = {
    "PyErr_Occurred": (VOID_POINTER,),
    "PyErr_SetString": (ir.VoidType(), VOID_POINTER, VOID_POINTER),
    "PyLong_AsLongLong": (WORD, VOID_POINTER),
    "PyLong_FromLongLong": (VOID_POINTER, WORD),
    "PyModuleDef_Init": (VOID_POINTER, VOID_POINTER),
    "Py_IncRef": (ir.VoidType(), VOID_POINTER),
}
_VARIABLES = {
    "_Py_NoneStruct": BYTE,
    "PyExc_SystemError": VOID_POINTER,
    "PyExc_TypeError": VOID_POINTER,
}
# All that modules may name of CPython; `jobs` and `repeat` name some by themselves.
FUNCTIONS = (*_CPYTHON, "PyEval_RestoreThread", "PyEval_SaveThread", "Py_DecRef")
VARIABLES = tuple(_VARIABLES)


class Export(NamedTuple):
    """A function that a module exports; numba compiles it.

    Attributes
    ----------
    function : callable
    signature : str
        Of int64, giving int64 or void.
    objects : tuple of int
        The parameters that are Python objects, known by their addresses.
    rest : bool
        Whether the last two parameters are the address of the addresses of all further arguments,
        which are objects, and how many there are.
    """

    function: Callable[..., Any]
    signature: str
    objects: tuple[int, ...] = ()
    rest: bool = False


class ExtensionModule:
    """A module's start, and functions that call those that numba compiled.

    Parameters
    ----------
    name : str
        Of the Python module.
    free_threaded : bool
        Whether the module is for a CPython without the GIL.
    """

    def __init__(self, name: str, free_threaded: bool) -> None:
        self._module = ir.Module(f"{name}.start")
        self._name, self._free_threaded = name, free_threaded
        self._methods: list[ir.Constant] = []

    def add_function(self, name: str, export: Export, n_words: int, gives_integer: bool) -> None:
        """Add a function of so many parameters, which gives an integer or None.

        The symbol of that name is ``int status(int64 *result, void *, int64, ..)``, as numba
        compiles a function: a status that is not 0 becomes a SystemError.
        """
        n_given = n_words - 2 * export.rest
        caller = self._declare(
            f"call.{name}", VOID_POINTER, VOID_POINTER, VOID_POINTER.as_pointer(), WORD
        )
        caller.linkage = "internal"
        _, args, count = caller.args
        builder = ir.IRBuilder(caller.append_basic_block())
        result, exception = builder.alloca(WORD), builder.alloca(VOID_POINTER)
        differs = builder.icmp_signed("<" if export.rest else "!=", count, WORD(n_given))
        with builder.if_then(differs, likely=False):
            least = "at least " * export.rest
            self._raise(builder, "TypeError", f"{name} takes {least}{n_given} arguments")
        words = []
        for i in range(n_given):
            given = builder.load(builder.gep(args, [WORD(i)]))
            as_word = self._address_of if i in export.objects else self._integer
            words.append(as_word(builder, given))
        if export.rest:
            behind = builder.gep(args, [WORD(n_given)])
            words += [builder.ptrtoint(behind, WORD), builder.sub(count, WORD(n_given))]
        kinds = [WORD.as_pointer(), VOID_POINTER.as_pointer(), *[WORD] * n_words]
        compiled = self._declare(name, INT, *kinds)
        status = builder.call(compiled, [result, exception, *words])
        with builder.if_then(builder.icmp_signed("!=", status, INT(0)), likely=False):
            self._raise(builder, "SystemError", f"{name} failed")
        if gives_integer:
            builder.ret(self._call(builder, "PyLong_FromLongLong", builder.load(result)))
        else:
            none = self._variable("_Py_NoneStruct")
            self._call(builder, "Py_IncRef", none)
            builder.ret(none)
        self._methods.append(_struct(self._text(name), _address(caller), INT(METH_FASTCALL), NULL))

    def _address_of(self, builder: ir.IRBuilder, given):
        return builder.ptrtoint(given, WORD)

    def _integer(self, builder: ir.IRBuilder, given):
        """The integer that an object is; what raises ends the function."""
        integer = self._call(builder, "PyLong_AsLongLong", given)
        with builder.if_then(builder.icmp_signed("==", integer, WORD(-1)), likely=False):
            error = self._call(builder, "PyErr_Occurred")
            with builder.if_then(builder.icmp_unsigned("!=", error, NULL)):
                builder.ret(NULL)
        return integer

    def emit(self, cpu: str) -> bytes:
        """The object file, with ``PyInit_NAME``, for what LLVM calls that CPU."""
        self._add_start()
        module = llvm.parse_assembly(str(self._module))
        module.verify()
        target = llvm.Target.from_default_triple()
        machine = target.create_target_machine(cpu, opt=2, reloc="pic", codemodel="default")
        return machine.emit_object(module)

    def _add_start(self) -> None:
        methods = self._table([*self._methods, _struct(NULL, NULL, INT(0), NULL)])
        head, slots = [WORD(1), WORD(0)], NULL  # its count, and the type, which CPython sets
        if self._free_threaded:
            head = [WORD(0), WORD(STATIC | IMMORTAL), WORD(0), WORD(0)]
            gil = ir.Constant(WORD, PY_MOD_GIL_NOT_USED).inttoptr(VOID_POINTER)
            slots = self._table([_struct(INT(PY_MOD_GIL), gil), _struct(INT(0), NULL)])
        base = [*head, NULL, WORD(0), NULL]  # m_init, m_index, m_copy
        name, size, rest = self._text(self._name), WORD(0), [NULL] * 3
        definition = self._data(_struct(*base, name, NULL, size, methods, slots, *rest))
        if WINDOWS:  # what uses floating point names this, which C's runtime has otherwise
            ir.GlobalVariable(self._module, INT, "_fltused").initializer = INT(0)
        start = self._declare(f"PyInit_{self._name}", VOID_POINTER)
        builder = ir.IRBuilder(start.append_basic_block())
        builder.ret(self._call(builder, "PyModuleDef_Init", definition))

    def _declare(self, name: str, result, *kinds) -> ir.Function:
        function = ir.Function(self._module, ir.FunctionType(result, kinds), name)
        function.attributes.add("nounwind")  # no tables for exceptions, of which are none
        return function

    def _call(self, builder: ir.IRBuilder, name: str, *args):
        """Call a function of CPython."""
        known = self._module.globals.get(name)
        return builder.call(known or self._declare(name, *_CPYTHON[name]), args)

    def _raise(self, builder: ir.IRBuilder, error: str, message: str) -> None:
        kind = builder.load(self._variable(f"PyExc_{error}"))
        self._call(builder, "PyErr_SetString", kind, self._text(message))
        builder.ret(NULL)

    def _variable(self, name: str) -> ir.GlobalVariable:
        """A variable of CPython's."""
        known = self._module.globals.get(name)
        variable = known or ir.GlobalVariable(self._module, _VARIABLES[name], name)
        if WINDOWS:  # where code must know that another module has it
            variable.storage_class = "dllimport"
        return variable

    def _data(self, value: ir.Constant) -> ir.Constant:
        """The address of memory of the module's own that begins as `value`."""
        data = ir.GlobalVariable(self._module, value.type, self._module.get_unique_name("data"))
        data.linkage, data.initializer = "internal", value
        return _address(data)

    def _table(self, rows: list[ir.Constant]) -> ir.Constant:
        return self._data(ir.Constant(ir.ArrayType(rows[0].type, len(rows)), rows))

    def _text(self, text: str) -> ir.Constant:
        characters = bytearray(f"{text}\0".encode())
        return self._data(ir.Constant(ir.ArrayType(BYTE, len(characters)), characters))


def _struct(*fields: ir.Constant) -> ir.Constant:
    return ir.Constant.literal_struct(fields)


def _address(value) -> ir.Constant:
    return value.bitcast(VOID_POINTER)
