"""Strings: literals, comparison, templates."""

import pytest
import tinychain as tc

from support import apply, evaluate, same

S = (tc.String, tc.String)
COMPARE = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
}


@pytest.mark.parametrize(
    "text", ["", "x", "two words", "é", "😀", "日本語", "\"quoted\"", "back\\slash", "a\nb\tc\r", "\x00\x01\x1f\x7f", "\u2028", "{{x}}", "$x", "/a/b", "x" * 100_000],
    ids=lambda text: ascii(text[:12]),
)
def test_literal(host, text):
    cxt = tc.Context()
    cxt.s = text
    same(host.hypothetical(cxt), text)


@pytest.mark.parametrize("a,b", [("a", "a"), ("a", "b"), ("b", "a"), ("a", "aa"), ("", "a"), ("Z", "a"), ("é", "z"), ("\uffff", "😀"), ("10", "9")])
@pytest.mark.parametrize("op", COMPARE)
def test_compare(host, op, a, b):
    same(apply(host, COMPARE[op], S, a, b), COMPARE[op](a, b))


@pytest.mark.parametrize("op", COMPARE)
def test_compare_steps(host, op):
    same(evaluate(host, {"s": "foo", "u": "bar"}, lambda cxt: COMPARE[op](cxt.s, cxt.u)), COMPARE[op]("foo", "bar"))


@pytest.mark.parametrize("a,b,want", [("5", 5, True), ("5.0", 5, True), ("x", 5, False), ("x", None, False), ("foo", tc.Id("foo"), True), ("/a/b", tc.URI("/a/b"), True)])
def test_equality_with_other_classes(host, a, b, want):
    same(apply(host, lambda a, b: a == b, (tc.String, tc.Value), a, b), want)


def test_maximum(host):
    same(evaluate(host, {"s": "foo", "u": "bar"}, lambda cxt: tc.String.max(cxt.s, cxt.u)), "foo")
    same(evaluate(host, {"s": "foo", "u": "bar"}, lambda cxt: tc.String.min(cxt.s, cxt.u)), "bar")


RENDER = [
    ("to: {{name}};", dict(name="Ann"), "to: Ann;"),
    ("to: {{name}};", dict(), "to: ;"),
    ("to: {{ name }};", dict(name="Ann"), "to: Ann;"),
    ("to: {{name}};", dict(name=""), "to: ;"),
    ("to: {{name}};", dict(other="Ann"), "to: ;"),
    ("no names", dict(name="Ann"), "no names"),
    ("{{a}}+{{b}}={{c}}", dict(a=1, b=2, c=3), "1+2=3"),
    ("{{a}}", dict(a=1.0), "1"),
    ("{{a}}", dict(a=0.5), "0.5"),
    ("{{a}}", dict(a=True), "true"),
    ("{{{a}}}", dict(a=1 + 2j), "1+2i"),
    ("{{a}}", dict(a=None), ""),
    ("{{a}}", dict(a=tc.Id("foo")), "foo"),
    ("{{{a}}}", dict(a=tc.URI("/a/b")), "/a/b"),
    ("{{a}} {{{a}}}", dict(a="<b>&\"'`=/"), "&lt;b&gt;&amp;&quot;&#x27;&#x60;&#x3D;/ <b>&\"'`=/"),
    ("<b>{{a}}</b>", dict(a="é😀"), "<b>é😀</b>"),
    ("{{! comment}}{{a}}", dict(a="x"), "x"),
    ("{{a.b}}", dict(a={"b": 1}), "1"),
    ("{{#each a}}{{this}},{{/each}}", dict(a=[1, 2]), "1,2,"),
    ("{{#if a}}yes{{else}}no{{/if}}", dict(a=False), "no"),
    ("{{#if a}}yes{{else}}no{{/if}}", dict(a=True), "yes"),
]


@pytest.mark.parametrize("template,values,want", RENDER)
def test_render(host, template, values, want):
    same(evaluate(host, {"s": template}, lambda cxt: cxt.s.render(**values)), want)


@pytest.mark.parametrize("template,values,want", RENDER)
def test_render_a_parameter(host, template, values, want):
    same(apply(host, lambda s: s.render(values), (tc.String,), template), want)


def test_render_computed_values(host):
    same(evaluate(host, {"s": "{{n}} feet", "x": 5}, lambda cxt: cxt.s.render(n=cxt.x * 3)), "15 feet")


def test_render_a_literal_template(host):
    cxt = tc.Context()
    cxt.x = 5
    cxt.r = tc.String("x is {{x}}").render(x=cxt.x)
    same(host.hypothetical(cxt), "x is 5")


def test_render_twice(host):
    fn = lambda s, u: s.render(x=u.render(x="!"))
    same(apply(host, fn, S, "<{{x}}>", "a{{x}}"), "<a!>")


def test_faulty_template(host):
    with pytest.raises(tc.error.BadRequest):
        evaluate(host, {"s": "{{#if"}, lambda cxt: cxt.s.render(a=1))
