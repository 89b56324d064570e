# pyright: basic
"""Inner loops over packed genotypes, written for the vector unit.

numba's own code for such loops is several times slower than the machine allows, so the two
that all products rest on are built from vector instructions of LLVM:

- `unpack` turns 64 bytes of a block (256 people) into 256 bytes, one a person;
- `dot` multiplies six variants of such bytes with four rows of signed bytes, into 24 vectors
  of sums held in registers, by the dot product instruction for bytes (AVX-512 VNNI: 64 products
  and sums an instruction), and adds up what each vector holds.

Sums of integers are exact, whatever the order. A processor without the instruction goes
another way to the same integers (`packed/product.py`).
"""

from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir
from numba import types

from equipoise.native import instruction
from equipoise.packed.processor import LANES, ROWS, VARIANTS

_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_BYTES: Final = ir.VectorType(_I8, LANES)
_F64, _DOUBLES = ir.DoubleType(), ir.VectorType(ir.DoubleType(), 8)
_WORDS, _FOUR = ir.VectorType(_I32, LANES // 4), ir.VectorType(_I32, ROWS)


def _each(value: int) -> ir.Constant:
    return ir.Constant(_BYTES, [value] * LANES)


def _at(b: Any, address: Any, kind: ir.Type) -> Any:
    return b.inttoptr(address, kind.as_pointer())


def _load(b: Any, address: Any, kind: ir.Type) -> Any:
    loaded = b.load(_at(b, address, kind))
    loaded.align = 1
    return loaded


def _loop(b: Any, stop: Any) -> tuple[Any, Any, Callable[[], None]]:
    """Begin a loop over 0, 64, 128, ... below `stop`; return its index and how to end it."""
    entry = b.block
    body, after = b.append_basic_block("body"), b.append_basic_block("after")
    b.branch(body)
    b.position_at_end(body)
    index = b.phi(_I64)
    index.add_incoming(ir.Constant(_I64, 0), entry)

    def end() -> None:
        following = b.add(index, ir.Constant(_I64, LANES))
        last = b.block
        b.cbranch(b.icmp_signed("<", following, stop), body, after)
        index.add_incoming(following, last)
        b.position_at_end(after)

    return entry, index, end


def _dosage(b: Any, x: Any) -> Any:
    """Return two bits a person that count A1, 0 where not called."""
    high = b.lshr(x, _each(1))
    two = b.and_(b.not_(b.or_(x, high)), _each(0x55))
    one = b.and_(b.and_(high, b.not_(x)), _each(0x55))
    return b.or_(b.shl(two, _each(1)), one)


def _not_called(b: Any, x: Any) -> Any:
    """Return two bits a person, 1 where not called."""
    return b.and_(b.and_(x, b.not_(b.lshr(x, _each(1)))), _each(0x55))


def _unpack(of_bits: Callable[[Any, Any], Any], squared: bool) -> Any:
    @instruction
    def unpack(_: Any, source: Any, size: Any, target: Any) -> Any:
        """Unpack `size` bytes, a multiple of 64, from one address to another.

        The 256 people of 64 bytes come as four rows of 64: person 4i + s in row s, place i.
        """

        def build(context: Any, b: Any, _: Any, args: Any) -> Any:
            _, index, end = _loop(b, args[1])
            bits = of_bits(b, _load(b, b.add(args[0], index), _BYTES))
            base = b.add(args[2], b.mul(index, ir.Constant(_I64, 4)))
            for row in range(4):
                lane = b.and_(b.lshr(bits, _each(2 * row)) if row else bits, _each(3))
                if squared:
                    upper = b.shl(b.and_(lane, _each(2)), _each(1))
                    lane = b.or_(b.and_(lane, _each(1)), upper)
                place = b.add(base, ir.Constant(_I64, LANES * row))
                b.store(lane, _at(b, place, _BYTES)).align = 1
            end()
            return context.get_dummy_value()

        return types.void(types.uintp, types.intp, types.uintp), build

    return unpack


unpack_dosage = _unpack(_dosage, squared=False)
unpack_square = _unpack(_dosage, squared=True)
unpack_not_called = _unpack(_not_called, squared=False)


@instruction
def dot(
    _: Any, left: Any, l_stride: Any, right: Any, r_stride: Any, size: Any, out: Any, o_stride: Any
):
    """Add the products of 6 rows of unsigned and 4 of signed bytes to 6 rows of 4 sums of 32 bits.

    `size` bytes of each row, a multiple of 64, at the given addresses. Sums hold for 2**22 bytes
    of each row where the unsigned are at most 4.
    """

    def build(context: Any, b: Any, _: Any, args: Any) -> Any:
        left, left_stride, right, right_stride, size, out, out_stride = args
        multiply = _declared(b, "llvm.x86.avx512.vpdpbusd.512", _WORDS, [_WORDS] * 3)
        none = ir.Constant(_WORDS, [0] * 16)
        rows = [b.add(left, b.mul(left_stride, ir.Constant(_I64, v))) for v in range(VARIANTS)]
        columns = [b.add(right, b.mul(right_stride, ir.Constant(_I64, k))) for k in range(ROWS)]
        entry, index, end = _loop(b, size)
        body = b.block
        sums = [[b.phi(_WORDS) for _ in columns] for _ in rows]
        unsigned = [_load(b, b.add(row, index), _WORDS) for row in rows]
        for k, column in enumerate(columns):
            signed = _load(b, b.add(column, index), _WORDS)
            for v in range(VARIANTS):
                added = b.call(multiply, [sums[v][k], unsigned[v], signed])
                sums[v][k].add_incoming(none, entry)
                sums[v][k].add_incoming(added, body)
        end()
        for v in range(VARIANTS):
            place = b.add(out, b.mul(out_stride, ir.Constant(_I64, v)))
            found = _across(b, [total.incomings[1][0] for total in sums[v]])
            added = b.add(found, _load(b, place, _FOUR))
            b.store(added, _at(b, place, _FOUR)).align = 1
        return context.get_dummy_value()

    kinds = (types.uintp, types.intp, types.uintp, types.intp, types.intp, types.uintp, types.intp)
    return types.void(*kinds), build


def _across(b: Any, four: list[Any]) -> Any:
    """Return the sum of each of four vectors of 16 words, as a vector of four."""

    def folded(one: Any, other: Any, halves: tuple[list[int], list[int]]) -> Any:
        kinds = [ir.VectorType(_I32, len(places)) for places in halves]
        low, high = (
            b.shuffle_vector(one, other, ir.Constant(kind, places))
            for kind, places in zip(kinds, halves, strict=True)
        )
        return b.add(low, high)

    # Neighbours are added, and both vectors' sums put side by side; then pairs of these.
    even = [i + side for i in range(0, 16, 2) for side in (0, 16)]
    pairs = [folded(four[i], four[i + 1], (even, [i + 1 for i in even])) for i in (0, 2)]
    first = [i + side for i in range(0, 16, 4) for side in (0, 1, 16, 17)]
    both = folded(pairs[0], pairs[1], (first, [i + 2 for i in first]))
    both = folded(both, both, (list(range(8)), list(range(8, 16))))
    return folded(both, both, (list(range(4)), list(range(4, 8))))


@instruction
def word_at(_: Any, address: Any) -> Any:
    """Return the 8 bytes at an address as one word."""
    return types.uint64(types.uintp), lambda _c, b, _s, args: _load(b, args[0], _I64)


@instruction
def byte_at(_: Any, address: Any) -> Any:
    """Return the byte at an address."""
    return types.uint8(types.uintp), lambda _c, b, _s, args: _load(b, args[0], _I8)


@instruction
def add_outer(_: Any, row: Any, p: Any, q: Any, sums: Any) -> Any:
    """Add the first p numbers of a row times all q of them to p rows of q sums, float64.

    q is a multiple of 8.
    """

    def build(context: Any, b: Any, _: Any, args: Any) -> Any:
        row, p, q, sums = args
        wide = b.mul(q, ir.Constant(_I64, 8))
        _, r, end_rows = _loop(b, b.mul(p, ir.Constant(_I64, LANES)))
        place = b.udiv(r, ir.Constant(_I64, LANES))
        single = _load(b, b.add(row, b.mul(place, ir.Constant(_I64, 8))), _F64)
        spread = b.insert_element(ir.Constant(_DOUBLES, ir.Undefined), single, ir.Constant(_I32, 0))
        spread = b.shuffle_vector(spread, spread, ir.Constant(ir.VectorType(_I32, 8), [0] * 8))
        base = b.add(sums, b.mul(place, wide))
        _, c, end_columns = _loop(b, wide)
        at = b.add(base, c)
        product = b.fmul(spread, _load(b, b.add(row, c), _DOUBLES))
        b.store(b.fadd(_load(b, at, _DOUBLES), product), _at(b, at, _DOUBLES)).align = 1
        end_columns()
        end_rows()
        return context.get_dummy_value()

    return types.void(types.uintp, types.intp, types.intp, types.uintp), build


@instruction
def ones(_: Any, word: Any) -> Any:
    """Return how many bits of a 64-bit word are set."""
    return types.uint64(types.uint64), lambda _c, b, _s, args: b.ctpop(args[0])


@instruction
def tally(_: Any, source: Any, masks: Any, size: Any, out: Any) -> Any:
    """Add to three sums of 64 bits how often the upper bit, the lower one, and both are set.

    Of the people whose lower bit `masks` has; `size` bytes at each address, a multiple of 64.
    """

    def build(context: Any, b: Any, _: Any, args: Any) -> Any:
        source, masks, size, out = args
        each = ir.VectorType(_I64, 8)
        counted = _declared(b, "llvm.ctpop.v8i64", each, [each])
        across = _declared(b, "llvm.vector.reduce.add.v8i64", _I64, [each])
        entry, index, end = _loop(b, size)
        body = b.block
        sums = [b.phi(each) for _ in range(3)]
        held = _load(b, b.add(source, index), each)
        mask = _load(b, b.add(masks, index), each)
        high = b.and_(b.lshr(held, ir.Constant(each, [1] * 8)), mask)
        low = b.and_(held, mask)
        for total, bits in zip(sums, (high, low, b.and_(high, low)), strict=True):
            total.add_incoming(ir.Constant(each, [0] * 8), entry)
            total.add_incoming(b.add(total, b.call(counted, [bits])), body)
        end()
        for i, total in enumerate(sums):
            place = _at(b, b.add(out, ir.Constant(_I64, 8 * i)), _I64)
            found = b.call(across, [total.incomings[1][0]])
            b.store(b.add(b.load(place), found), place)
        return context.get_dummy_value()

    return types.void(types.uintp, types.uintp, types.intp, types.uintp), build


@instruction
def first_one(_: Any, word: Any) -> Any:
    """Return the place of the lowest bit that is set; 64 where none is."""
    never = ir.Constant(ir.IntType(1), 0)
    return types.uint64(types.uint64), lambda _c, b, _s, args: b.cttz(args[0], never)


def _declared(b: Any, name: str, returned: ir.Type, taken: list[ir.Type]) -> Any:
    known = b.module.globals.get(name)
    return known or ir.Function(b.module, ir.FunctionType(returned, taken), name)
