//! Definitions for tests.

use crate::cluster::Definition;
use crate::value::doc::json;

fn parse(link: &str, text: &str) -> Definition {
    let doc = json::decode(text.as_bytes(), 64).unwrap();
    Definition::parse(link.parse().unwrap(), &doc).unwrap()
}

pub(super) fn library() -> Definition {
    parse(
        "/lib/a/units/1.0.0",
        r#"{"/lib/a/units": {
            "NAME": "units",
            "MARKUP": "<script>alert('x')</script>",
            "LIMITS": {"x": 1},
            "now": {"$self/LIMITS": []},
            "double": {"/state/scalar/op/get": ["n", [["_return", {"$n/mul": {"r": 2}}]]]},
            "quad": {"/state/scalar/op/get": ["n", [
                ["d", {"/lib/a/units/1.0.0/double": [{"$n": []}]}],
                ["_return", {"/lib/a/units/1.0.0/double": [{"$d": []}]}]]]},
            "area": {"/state/scalar/op/post": [["_return", {"$w/mul": {"r": {"$h": []}}}]]},
            "greet": {"/state/scalar/op/post": [
                ["t", "it's {{name}}"], ["_return", {"$t/render": {"name": {"$name": []}}}]]},
            "pick": {"/state/scalar/op/post": [
                ["_return", {"/state/scalar/ref/if": [{"$cond": []}, {"$x": []}, null]}]]}
        }}"#,
    )
}

pub(super) fn service() -> Definition {
    parse(
        "/service/a/stock/1.0.0",
        r#"{"/service/a/stock": {
            "items": {"/state/chain/sync": [{"/state/collection/table": [[
                [[["sku", {"/state/scalar/value/string": {}}, 20]],
                 [["qty", {"/state/scalar/value/number/uint/64": {}}]]],
                [["by_qty", ["qty"]]]]]}]},
            "log": {"/state/chain/block": [{"/state/collection/btree": [[
                ["n", {"/state/scalar/value/number/uint/64": {}}],
                ["note", {"/state/scalar/value/string": {}}, 300]]]}]},
            "sold": {"/state/chain/sync": [0]},
            "restock": {"/state/scalar/op/put": ["key", "value", [
                ["_return", {"$self/items": [[{"$key": []}], [{"$value": []}]]}]]]},
            "drop": {"/state/scalar/op/delete": ["key", [
                ["_return", {"/state/scalar/ref/op/delete": [{"$self/items": []}, [{"$key": []}]]}]]]},
            "become": {"/state/scalar/op/put": ["key", "value", [["_return", {"$self/sold": [null, {"$value": []}]}]]]},
            "size": {"/state/scalar/op/get": ["key", [["_return", {"$self/items/count": [null]}]]]},
            "has": {"/state/scalar/op/get": ["key", [["_return", {"$self/items/contains": [[{"$key": []}]]}]]]},
            "scarce": {"/state/scalar/op/get": ["limit", [
                ["_return", {"$self/items": [[["qty", [null, ["ex", {"$limit": []}]]]]]}]]]},
            "log_one": {"/state/scalar/op/post": [["_return", {"$self/log": [null, [{"$n": []}, "one"]]}]]},
            "take": {"/state/scalar/op/post": [
                ["row", {"$self/items": [[{"$sku": []}]]}],
                ["left", {"$row/1/sub": {"r": {"$qty": []}}}],
                ["_return", {"$self/items": [[{"$sku": []}], [{"$left": []}]]}],
                ["logged", {"$self/log": [null, [{"$qty": []}, {"$sku": []}]]}]]}
        }}"#,
    )
}

pub(super) fn classes() -> Definition {
    parse(
        "/class/a/things/1.0.0",
        r#"{
            "Item": {"/class": {
                "NAME": "Item",
                "label": {"/state/scalar/op/get": ["key", [
                    ["t", "{{title}} costs {{price}}"],
                    ["_return", {"$t/render": {"title": {"$self/title": []}, "price": {"$self/price": []}}}]]]},
                "total": {"/state/scalar/op/post": [["_return", {"$self/price/mul": {"r": {"$qty": []}}}]]}}},
            "Sale": {"/class/a/things/1.0.0/Item": {"NAME": "Sale"}},
            "Meters": {"/state/scalar/value/number": {
                "feet": {"/state/scalar/op/get": ["key", [["_return", {"$self/mul": {"r": 3.25}}]]]}}}
        }"#,
    )
}
