import pytest

from doze_sdk.hcl._re2 import RE2Error, compile_re2


@pytest.mark.parametrize(
    ("expression", "line", "matches"),
    [
        # where Python would say something else; the verdicts are those of RE2
        (r"^\d+$", "١٢", False),
        (r"^\w$", "é", False),
        (r"^\W$", "é", True),
        (r"^[\W]$", "é", True),
        (r"\bx", "éx", True),
        (r"^\s$", "\v", False),
        (r"^[[:space:]]$", "\v", True),
        (r"ready$", "ready\n", False),
        (r"ready$", "ready\r", False),
        (r"ready\z", "ready", True),
        (r"^\Qa.b\E$", "axb", False),
        (r"^\Qa.b\E$", "a.b", True),
        (r"^\Qa.b", "a.b", True),
        (r"^\x{61}\141\x61$", "aaa", True),
        (r"^x{,3}$", "x{,3}", True),
        (r"^x{,3}$", "xx", False),
        (r"^(?<n>a)(?P<m>b)$", "ab", True),
        (r"^a(?i)b|c$", "aB", True),
        (r"^a(?i)b|c$", "C", True),
        (r"^a(?i)b|c$", "AB", False),
        (r"^(a(?i)b)c$", "aBC", False),
        (r"^(?i-s:A)b$", "ab", True),
        (r"(?U)a+b", "aab", True),
        (r"^(?i)[^a]$", "A", False),
        (r"^[[:^digit:]]$", "7", False),
        (r"^[^[:digit:]x]$", "y", True),
        (r"^[^[:digit:]x]$", "x", False),
        (r"^[]a]$", "]", True),
        (r"^[a-]$", "-", True),
        (r"^[[a]$", "[", True),
        (r"^[a&&b]$", "&", True),
        (r"^*a", "a", True),
        (r"\B", "", True),
        (r"^\_$", "_", True),
        (r"(?m)^b$", "b", True),
        (r"", "anything", True),
        (r"^a(?i)*$", "aaa", True),
        (r"^a*(?i)+$", "aaa", True),
        (r"^a{01}$", "a{01}", True),
        (r"(?m)^b$", "a\nb\nc", True),
        (r"(?m:^b)$", "a\nb\nc", False),
        (r"^(?i-i)A$", "a", False),
    ],
)
def test_an_expression_means_what_it_means_in_the_host(expression, line, matches):
    assert (compile_re2(expression).search(line) is not None) is matches


@pytest.mark.parametrize(
    ("expression", "text", "found"),
    [
        (r"a+?", "aa", "a"),
        (r"(?U)a+", "aa", "a"),
        (r"(?U)a+?", "aa", "aa"),
        (r"(?U:a+)b*", "aabb", "a"),
        (r"a|ab", "ab", "a"),
    ],
)
def test_what_is_found_is_what_the_host_finds(expression, text, found):
    match = compile_re2(expression).search(text)

    assert match is not None
    assert match[0] == found


def test_groups_have_their_names_in_order():
    expression = compile_re2(r"(?P<n>a)(?i:(b))(?<n>c)")
    match = expression.search("xaBc")

    assert expression.names == ("n", None, "n")
    assert match is not None
    assert match.groups() == ("a", "B", "c")


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        (r"a(?=b)", "invalid or unsupported Perl syntax: `(?=`"),
        (r"(?<!a)b", "invalid named capture: `(?<!a)b`"),
        (r"(?P=name)", "invalid or unsupported Perl syntax: `(?P`"),
        (r"(?>a)", "invalid or unsupported Perl syntax: `(?>`"),
        (r"(?x)a", "invalid or unsupported Perl syntax: `(?x`"),
        (r"(a)\1", r"invalid escape sequence: `\1`"),
        (r"a\Z", r"invalid escape sequence: `\Z`"),
        (r"\u0041", r"invalid escape sequence: `\u`"),
        ("é\\é", "invalid escape sequence: `\\é`"),
        ("a\\", "trailing backslash at end of expression: ``"),
        (r"a*+", "invalid nested repetition operator: `*+`"),
        (r"a**", "invalid nested repetition operator: `**`"),
        (r"a{1001}", "invalid repeat count: `{1001}`"),
        (r"a{2,1}", "invalid repeat count: `{2,1}`"),
        (r"*a", "missing argument to repetition operator: `*`"),
        (r"(+a)", "missing argument to repetition operator: `+`"),
        (r"a|?", "missing argument to repetition operator: `?`"),
        (r"(a", "missing closing ): `(a`"),
        (r"a)", "unexpected ): `a)`"),
        (r"[a", "missing closing ]: `[a`"),
        (r"[]", "missing closing ]: `[]`"),
        (r"[z-a]", "invalid character class range: `z-a`"),
        (r"[[:nope:]]", "invalid character class range: `[:nope:]`"),
        (r"(?P<n-m>a)", "invalid named capture: `(?P<n-m>`"),
        (r"(?<n", "invalid named capture: `(?<n`"),
        (r"(?i-)a", "invalid or unsupported Perl syntax: `(?i-)`"),
        (r"(?i", "invalid or unsupported Perl syntax: `(?i`"),
        (r"a**?", "invalid nested repetition operator: `**?`"),
        (r"((a{100}){10}){2}", "invalid repeat count: `{2}`"),
        (r"*?", "missing argument to repetition operator: `*?`"),
        (r"x[a-", "missing closing ]: `[a-`"),
        (r"[a-\d]", r"invalid escape sequence: `\d`"),
        (r"\x{110000}", r"invalid escape sequence: `\x{110000`"),
        (r"\pX", r"invalid character class range: `\pX`"),
        (r"\p{L", r"invalid character class range: `\p{L`"),
        ("(" * 1001 + ")" * 1001, f"expression nests too deeply: `{'(' * 1001 + ')' * 1001}`"),
        (r"\p{Greek}", r"Unicode classes are not supported here, only ranges: `\p{Greek}`"),
    ],
)
def test_an_expression_that_the_host_refuses_is_refused_with_the_reason(expression, reason):
    with pytest.raises(RE2Error) as caught:
        compile_re2(expression)

    assert str(caught.value) == reason
