//! What attacks are made of. Words without blanks stand in one string; see [`super::word`].

pub const METHODS: &str = " add sub mul div mod pow log ln exp abs round sin cos tan asin acos atan sinh cosh tanh asinh \
    acosh atanh gt ge lt le gte lte eq ne and or xor not real imag class hash is_none copy len contains append extend zip map \
    filter for_each fold render 0 1 -1 a nope 18446744073709551616";
pub const PARAMS: &str = "\
    r eq ne op item_name value l message stack a data n";
pub const STATICS: &str = "\
    / /state /state/tuple /state/map /state/closure /state/tuple/range /state/tuple/concatenate \
    /state/object/class /state/scalar/value/string/uuid /state/scalar/value/bytes/uuid \
    /state/scalar/value/id/uuid /state/scalar/range /state/collection/btree /state/collection/tensor/dense \
    /state/chain/sync /error/bad_request /error/nope /a/b /state/nope http://127.0.0.1:1/a https://[::1]:65535/x \
    http://example.com /state/scalar/ref /state/scalar/op /state/scalar/value";
pub const SEGMENTS: &str = "\
    state scalar value number int uint float complex bool 8 16 32 64 string id link bytes email version tuple \
    none map closure op ref get put post delete if case while after before with";
pub const NAMES: &[&str] = &[
    "",
    "a",
    "a",
    "a b",
    "$a",
    "/a",
    "a/b",
    "a..b",
    "..",
    "é",
    "\u{0}",
    "\n",
    "\u{202e}x",
    "😀",
    "self",
    "$self",
    "op",
    "_return",
    "_1",
    "a\"b",
    "{",
    "a:b",
    "0",
    "-1",
    "1.2.3",
    "\u{a0}",
    "\u{feff}",
    "in",
    "\u{7f}",
    "\\",
    "a\u{301}",
];
pub const FRAGMENTS: &[&str] = &[
    "{{",
    "}}",
    "{{{",
    "}}}",
    "{{#each a}}",
    "{{/each}}",
    "{{#if a}}",
    "{{else}}",
    "{{/if}}",
    "{{a}}",
    "{{{a}}}",
    "{{a.b}}",
    "{{../a}}",
    "{{this}}",
    "{{@index}}",
    "{{@root.a}}",
    "{{> p}}",
    "{{#> p}}",
    "{{* d}}",
    "{{#*inline \"p\"}}",
    "{{/inline}}",
    "{{#with a}}",
    "{{/with}}",
    "{{lookup a 0}}",
    "{{! c }}",
    "{{!-- c --}}",
    "\\{{a}}",
    "{{{{raw}}}}",
    "{{{{/raw}}}}",
    "{{log a}}",
    "{{(a)}}",
    "{{a b=1}}",
    "{{\"a\"}}",
    "{{[a b]}}",
    "{{#a}}",
    "{{/a}}",
    "{{~a~}}",
    "{{^a}}",
    "{{len a}}",
    "{{eq a b}}",
    "{{((((((a))))))}}",
    "{{a",
    "é",
    "<&>",
    "\n",
    "{{#each a as |x y|}}",
];
/// Text around a place, which nests when it is repeated.
pub const NESTS: &[(&str, &str)] = &[
    ("[", "]"),
    ("{\"a\":", "}"),
    ("{\"/state/scalar/op/get\":[\"n\",[[\"r\",", "]]]}"),
    ("{\"/state/scalar/op/post\":", "}"),
    ("{\"/state/scalar/ref/if\":[true,", ",1]}"),
    ("{\"/state/scalar/ref/case\":[", ",[1],[1,2]]}"),
    ("{\"/state/scalar/ref/after\":[1,", "]}"),
    ("{\"/state/scalar/ref/op/get\":[", ",1]}"),
    ("{\"$x/add\":[", "]}"),
    ("{\"$x/add\":{\"r\":", "}}"),
    ("{\"/state/scalar/value/number/int/32\":[", "]}"),
    ("{\"/state/scalar/value/string\":", "}"),
    ("{\"/state/tuple\":[", "]}"),
    ("{\"/state/closure\":[{\"a\":1},", "]}"),
    ("{\"/error/conflict\":[", "]}"),
    ("{\"http://127.0.0.1:1/a\":[", "]}"),
];
