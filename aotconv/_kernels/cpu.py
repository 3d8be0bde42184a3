"""The two instructions that CPU detection needs, compiled for the baseline of x86-64."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .extension import Export
from .simd import WORD as INT64

INT32 = ir.IntType(32)


@intrinsic
def _cpuid(typingctx, leaf, subleaf):
    def emit(context, builder, sig, args):
        registers = ir.LiteralStructType([INT32] * 4)
        function_type = ir.FunctionType(registers, [INT32, INT32])
        leaf, subleaf = (builder.trunc(arg, INT32) for arg in args)
        code = ir.InlineAsm(function_type, "cpuid", "={ax},={bx},={cx},={dx},{ax},{cx}", True)
        result = builder.call(code, [leaf, subleaf])
        words = [builder.zext(builder.extract_value(result, i), INT64) for i in range(4)]
        return context.make_tuple(builder, sig.return_type, words)

    return types.UniTuple(types.int64, 4)(types.int64, types.int64), emit


@intrinsic
def _xgetbv(typingctx):
    def emit(context, builder, sig, args):
        registers = ir.LiteralStructType([INT32] * 2)
        function_type = ir.FunctionType(registers, [INT32])
        code = ir.InlineAsm(function_type, "xgetbv", "={ax},={dx},{cx}", True)
        result = builder.call(code, [INT32(0)])
        return builder.zext(builder.extract_value(result, 0), INT64)

    return types.int64(), emit


def cpuid(leaf, subleaf, register):
    """Register eax, ebx, ecx or edx (0 to 3) of ``cpuid`` for a leaf and a subleaf."""
    return _cpuid(leaf, subleaf)[register]


def xgetbv():
    """The low half of XCR0: which registers the operating system saves.

    Only to be called where cpuid says OSXSAVE.
    """
    return _xgetbv()


EXPORTS = {
    "cpuid": Export(cpuid, "int64(int64, int64, int64)"),
    "xgetbv": Export(xgetbv, "int64()"),
}
