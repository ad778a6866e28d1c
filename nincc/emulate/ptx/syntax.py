"""PTX as data: modules, kernels, instructions and their operands.  Source: NVIDIA, PTX ISA, chapters 4 and 5."""

from __future__ import annotations

from dataclasses import dataclass, field

SPECIAL_REGISTERS = frozenset(
    [f"%{name}.{axis}" for name in ("tid", "ntid", "ctaid", "nctaid") for axis in "xyz"]
    + ["%laneid", "%warpid", "%nwarpid", "%smid", "%nsmid"]
    + [f"%lanemask_{which}" for which in ("eq", "le", "lt", "ge", "gt")]
)


@dataclass(frozen=True)
class Register:
    """A virtual register: ``number`` is its place in the register file, ``type`` what it was declared as."""

    name: str
    type: str
    number: int


@dataclass(frozen=True)
class Special:
    """A read-only register that the hardware fills, such as ``%tid.x``."""

    name: str


@dataclass(frozen=True)
class Immediate:
    """A constant.  ``bits`` are those of the value; ``type`` is ``int``, ``f32`` or ``f64``."""

    bits: int
    type: str = "int"


@dataclass(frozen=True)
class Symbol:
    """The address of a variable, a parameter or a label, plus ``offset``."""

    name: str
    offset: int = 0


@dataclass(frozen=True)
class Address:
    """``[base + offset]``."""

    base: Register | Symbol | Immediate
    offset: int = 0


@dataclass(frozen=True)
class Vector:
    """``{a, b, c, d}``."""

    items: tuple[Operand, ...]


@dataclass(frozen=True)
class Pair:
    """``register|predicate``: an instruction with two results."""

    first: Operand
    second: Operand


@dataclass(frozen=True)
class Negated:
    """``!predicate``."""

    register: Register


@dataclass(frozen=True)
class Sink:
    """``_``: a result that nobody wants."""


Operand = Register | Special | Immediate | Symbol | Address | Vector | Pair | Negated | Sink


@dataclass(frozen=True)
class Guard:
    """``@p`` or ``@!p`` in front of an instruction."""

    register: Register
    negated: bool


@dataclass(frozen=True)
class Instruction:
    """``opcode`` is split at its dots: ``ld.global.v4.b32`` is ("ld", "global", "v4", "b32")."""

    opcode: tuple[str, ...]
    operands: tuple[Operand, ...]
    guard: Guard | None
    line: int

    @property
    def name(self) -> str:
        """The first part of the opcode."""
        return self.opcode[0]

    @property
    def modifiers(self) -> tuple[str, ...]:
        """All the other parts."""
        return self.opcode[1:]

    @property
    def text(self) -> str:
        """The whole opcode."""
        return ".".join(self.opcode)


@dataclass(frozen=True)
class Variable:
    """A module's or a kernel's array of ``size`` bytes.

    ``size`` is 0 for the dynamic shared array; ``initial`` is None for zeros.
    """

    name: str
    space: str
    align: int
    size: int
    initial: bytes | None = None


@dataclass(frozen=True)
class Parameter:
    """A kernel parameter at ``offset`` of the parameter block, ``size`` bytes long."""

    name: str
    offset: int
    size: int


@dataclass
class Kernel:
    """An entry as it stands in the text.  ``labels`` number the instruction that follows each label."""

    name: str
    parameters: tuple[Parameter, ...]
    registers: list[Register] = field(default_factory=list)
    variables: dict[str, Variable] = field(default_factory=dict)
    instructions: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    branch_targets: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass
class ModuleText:
    """A parsed module: entries and module-level variables by name."""

    kernels: dict[str, Kernel] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
