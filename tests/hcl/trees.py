"""Random syntax trees, the source text of a tree, and its shape for comparison."""

from __future__ import annotations

from hypothesis import strategies as st

from doze_sdk.hcl import Body, _ast as ast, to_json

# A tree is a nested tuple: the name of the construct and its parts. `source` writes it, `shape` reads it back from the
# parser's nodes.
Tree = tuple[object, ...]

_NAMES = st.sampled_from(["a", "b", "foo", "x_y", "with-dash", "é", "_private"])
_TEXTS = st.text(st.sampled_from('ab é"\\\n\t${}%~🇩'), max_size=6)
_NUMBERS = st.one_of(st.integers(0, 10**30).map(str), st.sampled_from(["1.5", "0.001", "1e3", "25e-2"]))
_OPERATORS = ["||", "&&", "==", "!=", "<", ">", "<=", ">=", "+", "-", "*", "/", "%"]


def _extend(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    items = st.lists(inner, max_size=3).map(tuple)
    pairs = st.lists(st.tuples(_NAMES, inner), max_size=3).map(tuple)
    part = st.one_of(
        _TEXTS.filter(bool).map(lambda text: ("text", text)), inner.map(lambda tree: ("interpolation", tree))
    )
    return st.one_of(
        st.tuples(st.just("tuple"), items),
        st.tuples(st.just("object"), pairs),
        st.tuples(st.just("unary"), st.sampled_from("-!"), inner),
        st.tuples(st.just("binary"), st.sampled_from(_OPERATORS), inner, inner),
        st.tuples(st.just("conditional"), inner, inner, inner),
        st.tuples(st.just("call"), _NAMES, items),
        st.tuples(st.just("index"), inner, inner),
        st.tuples(st.just("attribute"), inner, _NAMES),
        st.tuples(st.just("splat"), inner, _NAMES),
        st.tuples(st.just("for tuple"), _NAMES, inner, inner),
        st.tuples(st.just("for object"), _NAMES, inner, inner, inner, st.booleans()),
        st.tuples(st.just("template"), st.tuples(st.just(("text", "-")), part)),
    )


expressions: st.SearchStrategy[Tree] = st.recursive(
    st.one_of(
        st.tuples(st.just("number"), _NUMBERS),
        st.tuples(st.just("string"), _TEXTS),
        st.tuples(st.just("literal"), st.sampled_from(["true", "false", "null"])),
        st.tuples(st.just("variable"), _NAMES),
    ),
    _extend,
    max_leaves=12,
)


def _escaped(text: str) -> str:
    for character, escape in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\t", "\\t"), ("${", "$${"), ("%{", "%%{")):
        text = text.replace(character, escape)
    return text


def source(tree: Tree) -> str:  # noqa: PLR0911 - one return for each construct
    """The text of a tree; operands stand in parentheses, so that precedence plays no part."""
    match tree:
        case ("number", text) | ("literal", text) | ("variable", text):
            return str(text)
        case ("string", text):
            return f'"{_escaped(str(text))}"'
        case ("tuple", items):
            return "[" + ", ".join(map(source, items)) + "]"
        case ("object", pairs):
            return "{\n" + "".join(f'"{key}" = {source(value)}\n' for key, value in pairs) + "}"
        case ("unary", operator, operand):
            return f"{operator}({source(operand)})"
        case ("binary", operator, left, right):
            return f"({source(left)}) {operator} ({source(right)})"
        case ("conditional", condition, yes, no):
            return f"({source(condition)}) ? ({source(yes)}) : ({source(no)})"
        case ("call", name, arguments):
            return f"{name}({', '.join(map(source, arguments))})"
        case ("index", collection, key):
            return f"({source(collection)})[({source(key)})]"
        case ("attribute", origin, name):
            return f"({source(origin)}).{name}"
        case ("splat", origin, name):
            return f"({source(origin)})[*].{name}"
        case ("for tuple", name, collection, value):
            return f"[for {name} in {source(collection)} : {source(value)}]"
        case ("for object", name, collection, key, value, group):
            ellipsis = "..." if group else ""
            return f"{{for {name} in {source(collection)} : {source(key)} => {source(value)}{ellipsis} if {name}}}"
        case ("template", parts):
            return '"' + "".join(_part(part) for part in parts) + '"'
    raise AssertionError(tree)


def _part(part: Tree) -> str:
    kind, content = part
    return _escaped(str(content)) if kind == "text" else f"${{{source(content)}}}"


def shape(node: ast.Expression) -> Tree:  # noqa: PLR0911 - one return for each construct
    """The tree that a node of the parser stands for, parentheses left out."""
    match node:
        case ast.Parentheses():
            return shape(node.inner)
        case ast.StringLiteral():
            return ("string", node.value)
        case ast.Literal():
            return ("constant", to_json(node.value))
        case ast.Traversal(steps=[]):
            return ("variable", node.name)
        case ast.TupleLiteral():
            return ("tuple", tuple(map(shape, node.items)))
        case ast.ObjectLiteral():
            return ("object", tuple((item.literal_key, shape(item.value)) for item in node.items))
        case ast.Unary():
            return ("unary", node.operator, shape(node.operand))
        case ast.Binary():
            return ("binary", node.operator, shape(node.left), shape(node.right))
        case ast.Conditional():
            return ("conditional", shape(node.condition), shape(node.yes), shape(node.no))
        case ast.Call():
            return ("call", node.name, tuple(map(shape, node.arguments)))
        case ast.Index():
            return ("index", shape(node.collection), shape(node.key))
        case ast.RelativeTraversal(steps=[ast.AttributeStep() as step]):
            return ("attribute", shape(node.origin), step.name)
        case ast.Splat(each=ast.RelativeTraversal(steps=[ast.AttributeStep() as step])):
            return ("splat", shape(node.origin), step.name)
        case ast.For(key=None):
            return ("for tuple", node.value_name, shape(node.collection), shape(node.value))
        case ast.For(key=ast.Expression() as key):
            parts = (shape(node.collection), shape(key), shape(node.value))
            return ("for object", node.value_name, *parts, node.group)
        case ast.Template():
            return ("template", tuple(_part_shape(part) for part in node.parts))
    raise AssertionError(node)


def _part_shape(part: ast.Expression) -> Tree:
    if isinstance(part, ast.Literal) and isinstance(part.value, str):
        return ("text", part.value)
    return ("interpolation", shape(part))


def expected(tree: Tree) -> Tree:
    """The shape of a tree: constants by value, neighbouring texts of a template joined."""
    match tree:
        case ("number", text):
            from doze_sdk.hcl._number import number_literal

            return ("constant", to_json(number_literal(str(text))))
        case ("literal", text):
            return ("constant", str(text))
        case ("template", (("text", first), ("text", second))):
            return ("string", f"{first}{second}")
        case ("object", pairs):
            return ("object", tuple((key, expected(value)) for key, value in pairs))
        case ("template", parts):
            shapes = [(kind, content if kind == "text" else expected(content)) for kind, content in parts]
            return ("template", tuple(shapes))
    return tuple(_expected_part(part) for part in tree)


def _expected_part(part: object) -> object:
    if isinstance(part, tuple) and part and isinstance(part[0], str):
        return expected(part)
    return tuple(map(_expected_part, part)) if isinstance(part, tuple) else part


# Bodies

bodies: st.SearchStrategy[Tree] = st.recursive(
    st.tuples(
        st.dictionaries(_NAMES, expressions, max_size=3).map(lambda arguments: tuple(sorted(arguments.items()))),
        st.just(()),
    ),
    lambda inner: st.tuples(
        st.dictionaries(_NAMES, expressions, max_size=2).map(lambda arguments: tuple(sorted(arguments.items()))),
        st.lists(st.tuples(_NAMES, st.lists(_TEXTS, max_size=2).map(tuple), inner), max_size=3).map(tuple),
    ),
    max_leaves=4,
)


def body_source(body: Tree) -> str:
    arguments, blocks = body
    lines = [f"{name} = {source(tree)}\n" for name, tree in arguments]
    for type_, labels, inner in blocks:
        written = "".join(f' "{_escaped(label)}"' for label in labels)
        lines.append(f"{type_}{written} {{\n{body_source(inner)}}}\n")
    return "".join(lines)


def body_shape(body: Body) -> Tree:
    arguments = tuple((name, shape(attribute.expression)) for name, attribute in body.attributes.items())
    blocks = tuple((block.type, tuple(block.labels), body_shape(block.body)) for block in body.blocks)
    return (arguments, blocks)


def expected_body(body: Tree) -> Tree:
    arguments, blocks = body
    return (
        tuple((name, expected(tree)) for name, tree in arguments),
        tuple((type_, labels, expected_body(inner)) for type_, labels, inner in blocks),
    )
