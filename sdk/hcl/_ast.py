"""The syntax tree: bodies, blocks, attributes and expressions, each with its exact place in the source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._source import Range, Source
from ._text import normalize

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ._values import Value


class Node:
    """Anything that stands at one place of a source, from one character offset up to another."""

    __slots__ = ("end", "source", "start")

    def __init__(self, source: Source, start: int, end: int) -> None:
        self.source = source
        self.start = start
        self.end = end

    @property
    def range(self) -> Range:
        """The whole node."""
        return Range(self.source, self.start, self.end)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.range}>"


# Structure


class File(Node):
    """A parsed file."""

    __slots__ = ("body",)

    def __init__(self, source: Source, body: Body) -> None:
        super().__init__(source, 0, len(source.text))
        self.body = body


class Body(Node):
    """The arguments and the nested blocks of a file or a block, in source order."""

    __slots__ = ("attributes", "blocks", "missing")

    def __init__(
        self, source: Source, start: int, end: int, attributes: dict[str, Attribute], blocks: list[Block], missing: int
    ) -> None:
        self.source = source
        self.start = start
        self.end = end
        self.attributes = attributes
        self.blocks = blocks
        #: The offset at which Go reports what is missing.
        self.missing = missing

    def without(self, names: Collection[str]) -> Body:
        """The same body as if it did not set these arguments."""
        attributes = {name: attribute for name, attribute in self.attributes.items() if name not in names}
        return Body(self.source, self.start, self.end, attributes, self.blocks, self.missing)

    @property
    def missing_range(self) -> Range:
        """Where Go reports what is missing from this body: an empty range, for a block at its opening brace."""
        return Range(self.source, self.missing, self.missing)


class Attribute(Node):
    """One `name = expression`."""

    __slots__ = ("expression", "name", "name_end")

    def __init__(self, source: Source, start: int, end: int, name: str, name_end: int, expression: Expression) -> None:
        self.source = source
        self.start = start
        self.end = end
        self.name = name
        self.name_end = name_end
        self.expression = expression

    @property
    def name_range(self) -> Range:
        """The name."""
        return Range(self.source, self.start, self.name_end)


class Block(Node):
    """A nested block: its type, its labels, and its body.

    The node spans the header alone, from the type to the last label.
    """

    __slots__ = ("body", "close_brace", "label_spans", "labels", "open_brace", "type", "type_end")

    def __init__(
        self,
        source: Source,
        start: int,
        type_end: int,
        type: str,  # noqa: A002 - HCL's own word
        labels: list[str],
        label_spans: list[tuple[int, int]],
    ) -> None:
        self.source = source
        self.start = start
        self.end = label_spans[-1][1] if label_spans else type_end
        self.type = type
        self.type_end = type_end
        self.labels = labels
        self.label_spans = label_spans
        self.body: Body
        self.open_brace = self.end
        self.close_brace = self.end

    @property
    def type_range(self) -> Range:
        """The type."""
        return Range(self.source, self.start, self.type_end)

    @property
    def label_ranges(self) -> tuple[Range, ...]:
        """The labels, quotes included."""
        return tuple(Range(self.source, start, end) for start, end in self.label_spans)


# Expressions


class Expression(Node):
    """Anything that has a value."""

    __slots__ = ()

    @property
    def subject(self) -> Range:
        """The part that Go points at when the value does not suit (Go: `StartRange`)."""
        return self.range

    def children(self) -> Iterator[Expression]:
        """The expressions directly inside this one, in evaluation order."""
        return iter(())


class Literal(Expression):
    """A number, a bool, null, or a piece of literal text inside a template.

    In a tree with syntax errors it also stands for what could not be read; the value is then unknown.
    """

    __slots__ = ("value",)

    def __init__(self, source: Source, start: int, end: int, value: Value) -> None:
        self.source = source
        self.start = start
        self.end = end
        self.value = value


class StringLiteral(Expression):
    """A quoted string without any template sequence."""

    __slots__ = ("value",)

    def __init__(self, source: Source, start: int, end: int, value: str) -> None:
        self.source = source
        self.start = start
        self.end = end
        self.value = value

    @property
    def subject(self) -> Range:
        """The text between the quotes; of an empty string, the place behind it."""
        if self.end - self.start == 2:
            return Range(self.source, self.end, self.end)
        return Range(self.source, self.start + 1, self.end - 1)


class Template(Expression):
    """A quoted template or a heredoc: parts that are converted to strings and joined."""

    __slots__ = ("parts",)

    def __init__(self, source: Source, start: int, end: int, parts: list[Expression]) -> None:
        self.source = source
        self.start = start
        self.end = end
        self.parts = parts

    @property
    def subject(self) -> Range:
        """The first part's."""
        return self.parts[0].subject

    def children(self) -> Iterator[Expression]:
        return iter(self.parts)


class Unwrapped(Expression):
    """A template of one interpolation alone, such as `"${x}"`, whose value is that of the expression inside."""

    __slots__ = ("wrapped",)

    def __init__(self, source: Source, start: int, end: int, wrapped: Expression) -> None:
        self.source = source
        self.start = start
        self.end = end
        self.wrapped = wrapped

    def children(self) -> Iterator[Expression]:
        yield self.wrapped


class Joined(Expression):
    """The strings that a template's `%{for}` yields, joined."""

    __slots__ = ("strings",)

    def __init__(self, strings: For) -> None:
        self.source = strings.source
        self.start = strings.start
        self.end = strings.end
        self.strings = strings

    def children(self) -> Iterator[Expression]:
        yield self.strings


class Parentheses(Expression):
    """An expression in parentheses."""

    __slots__ = ("inner",)

    def __init__(self, source: Source, start: int, end: int, inner: Expression) -> None:
        self.source = source
        self.start = start
        self.end = end
        self.inner = inner

    @property
    def subject(self) -> Range:
        """That of the expression inside."""
        return self.inner.subject

    def children(self) -> Iterator[Expression]:
        yield self.inner


class AttributeStep(Node):
    """The `.name` of a traversal."""

    __slots__ = ("name",)

    def __init__(self, source: Source, start: int, end: int, name: str) -> None:
        self.source = source
        self.start = start
        self.end = end
        self.name = name


class IndexStep(Node):
    """The `[key]` of a traversal with a constant key, or the legacy `.0`."""

    __slots__ = ("key",)

    def __init__(self, source: Source, start: int, end: int, key: Value) -> None:
        self.source = source
        self.start = start
        self.end = end
        self.key = key


Step = AttributeStep | IndexStep


class Traversal(Expression):
    """A variable, and the constant steps into its value: `var.list[0].name`."""

    __slots__ = ("name", "name_end", "steps")

    def __init__(self, source: Source, start: int, end: int, name: str) -> None:
        self.source = source
        self.start = start
        self.end = end
        self.name = name
        self.name_end = end
        self.steps: list[Step] = []

    @property
    def name_range(self) -> Range:
        """The variable's name."""
        return Range(self.source, self.start, self.name_end)


class RelativeTraversal(Expression):
    """Constant steps into the value of an expression that is not a variable."""

    __slots__ = ("origin", "steps")

    def __init__(self, source: Source, start: int, end: int, origin: Expression, steps: list[Step]) -> None:
        self.source = source
        self.start = start
        self.end = end
        self.origin = origin
        self.steps = steps

    def children(self) -> Iterator[Expression]:
        yield self.origin


class Index(Expression):
    """`collection[key]` with a key that must be evaluated."""

    __slots__ = ("bracket", "collection", "key")

    def __init__(
        self, source: Source, start: int, end: int, collection: Expression, key: Expression, bracket: int
    ) -> None:
        self.source = source
        self.start = start
        self.end = end
        self.collection = collection
        self.key = key
        self.bracket = bracket

    @property
    def subject(self) -> Range:
        """The opening bracket."""
        return Range(self.source, self.bracket, self.bracket + 1)

    def children(self) -> Iterator[Expression]:
        yield self.collection
        yield self.key


class Element(Expression):
    """What a splat's steps begin at: one element of the value before the marker."""

    __slots__ = ()


class Splat(Expression):
    """`origin[*].steps` or `origin.*.steps`."""

    __slots__ = ("each", "element", "marker", "marker_end", "origin")

    def __init__(
        self, source: Source, start: int, end: int, origin: Expression, each: Expression, element: Element
    ) -> None:
        self.source = source
        self.start = start
        self.end = end
        self.origin = origin
        self.each = each
        self.element = element
        self.marker = element.start
        self.marker_end = element.end

    @property
    def subject(self) -> Range:
        """The marker."""
        return Range(self.source, self.marker, self.marker_end)

    def children(self) -> Iterator[Expression]:
        yield self.origin
        yield self.each


class Call(Expression):
    """A function call."""

    __slots__ = ("arguments", "close", "expand", "name", "name_end", "open")

    def __init__(
        self,
        source: Source,
        start: int,
        end: int,
        name: str,
        name_end: int,
        open: int,  # noqa: A002 - the offset of the opening parenthesis
        arguments: list[Expression],
        expand: bool,  # noqa: FBT001 - whether `...` follows the last argument
    ) -> None:
        self.source = source
        self.start = start
        self.end = end
        self.name = name
        self.name_end = name_end
        self.open = open
        self.arguments = arguments
        self.expand = expand

    @property
    def name_range(self) -> Range:
        """The function's name."""
        return Range(self.source, self.start, self.name_end)

    @property
    def subject(self) -> Range:
        """The name and the opening parenthesis."""
        return Range(self.source, self.start, self.open + 1)

    def children(self) -> Iterator[Expression]:
        return iter(self.arguments)


class Unary(Expression):
    """`-operand` or `!operand`."""

    __slots__ = ("operand", "operator")

    def __init__(self, source: Source, start: int, end: int, operator: str, operand: Expression) -> None:
        self.source = source
        self.start = start
        self.end = end
        self.operator = operator
        self.operand = operand

    @property
    def subject(self) -> Range:
        """The sign."""
        return Range(self.source, self.start, self.start + 1)

    def children(self) -> Iterator[Expression]:
        yield self.operand


class Binary(Expression):
    """Two operands and the operator between them."""

    __slots__ = ("left", "operator", "right")

    def __init__(self, source: Source, left: Expression, operator: str, right: Expression) -> None:
        self.source = source
        self.start = left.start
        self.end = right.end
        self.left = left
        self.operator = operator
        self.right = right

    @property
    def subject(self) -> Range:
        """That of the leftmost operand."""
        left = self.left
        while isinstance(left, Binary):
            left = left.left
        return left.subject

    def children(self) -> Iterator[Expression]:
        yield self.left
        yield self.right


class Conditional(Expression):
    """`condition ? yes : no`, or a template's `%{if}`."""

    __slots__ = ("condition", "no", "yes")

    def __init__(
        self, source: Source, start: int, end: int, condition: Expression, yes: Expression, no: Expression
    ) -> None:
        self.source = source
        self.start = start
        self.end = end
        self.condition = condition
        self.yes = yes
        self.no = no

    @property
    def subject(self) -> Range:
        """That of the condition."""
        return self.condition.subject

    def children(self) -> Iterator[Expression]:
        yield self.condition
        yield self.yes
        yield self.no


class TupleLiteral(Expression):
    """`[a, b]`."""

    __slots__ = ("items",)

    def __init__(self, source: Source, start: int, end: int, items: list[Expression]) -> None:
        self.source = source
        self.start = start
        self.end = end
        self.items = items

    @property
    def subject(self) -> Range:
        """The opening bracket."""
        return Range(self.source, self.start, self.start + 1)

    def children(self) -> Iterator[Expression]:
        return iter(self.items)


class ObjectItem:
    """One `key = value` of an object. In parentheses, a name is a variable and not the key itself."""

    __slots__ = ("in_parentheses", "key", "literal_key", "value")

    def __init__(self, key: Expression, in_parentheses: bool, value: Expression) -> None:  # noqa: FBT001 - as read
        self.key = key
        self.in_parentheses = in_parentheses
        self.value = value
        #: The key, if it is a plain name or string.
        self.literal_key = _literal_key(key, in_parentheses=in_parentheses)


def _literal_key(key: Expression, *, in_parentheses: bool) -> str | None:
    if isinstance(key, StringLiteral):
        return key.value
    if in_parentheses:
        return None
    if isinstance(key, Traversal) and not key.steps:
        return normalize(key.name)
    if isinstance(key, Literal) and (key.value is None or isinstance(key.value, bool)):
        return {None: "null", True: "true", False: "false"}[key.value]
    return None


class ObjectLiteral(Expression):
    """`{ a = b }`."""

    __slots__ = ("items",)

    def __init__(self, source: Source, start: int, end: int, items: list[ObjectItem]) -> None:
        self.source = source
        self.start = start
        self.end = end
        self.items = items

    @property
    def subject(self) -> Range:
        """The opening brace."""
        return Range(self.source, self.start, self.start + 1)

    def children(self) -> Iterator[Expression]:
        for item in self.items:
            if item.literal_key is None:
                yield item.key
            yield item.value


class For(Expression):
    """`[for k, v in collection : value if condition]`, its object form, or a template's `%{for}`."""

    __slots__ = ("collection", "condition", "group", "key", "key_name", "open_end", "value", "value_name")

    def __init__(
        self,
        source: Source,
        start: int,
        end: int,
        open_end: int,
        key_name: str | None,
        value_name: str,
        collection: Expression,
        value: Expression,
    ) -> None:
        self.source = source
        self.start = start
        self.end = end
        self.open_end = open_end
        self.key_name = key_name
        self.value_name = value_name
        self.collection = collection
        self.value = value
        #: The key expression of the object form.
        self.key: Expression | None = None
        self.condition: Expression | None = None
        #: Whether `...` follows the value: collect the values of each key.
        self.group = False

    @property
    def subject(self) -> Range:
        """The opening bracket, brace or directive."""
        return Range(self.source, self.start, self.open_end)

    def children(self) -> Iterator[Expression]:
        yield self.collection
        if self.key is not None:
            yield self.key
        yield self.value
        if self.condition is not None:
            yield self.condition


def references(node: Body | Expression) -> Iterator[Traversal]:
    """Every traversal that begins at a variable, in source order by block and argument.

    Names that an expression defines itself, as `for` does, are not variables.
    """
    if isinstance(node, Body):
        for attribute in node.attributes.values():
            yield from references(attribute.expression)
        for block in node.blocks:
            yield from references(block.body)
        return
    pending: list[tuple[Expression, frozenset[str]]] = [(node, frozenset())]
    while pending:
        expression, hidden = pending.pop()
        if isinstance(expression, Traversal):
            if expression.name not in hidden:
                yield expression
            continue
        inner = hidden
        if isinstance(expression, For):
            inner = hidden | {expression.value_name, expression.key_name or expression.value_name}
        children = [(child, hidden if _is_collection(expression, child) else inner) for child in expression.children()]
        pending += reversed(children)


def _is_collection(expression: Expression, child: Expression) -> bool:
    return isinstance(expression, For) and child is expression.collection
