//! Functions of two elements, against those of numbers.

use num_complex::Complex64;

use super::super::sample::{assert_close, assert_same, binary_ops, chunk, numbers};
use super::*;
use crate::error::Kind;
use crate::value::Number;
use crate::value::number::cast::{cast, to_f64, to_integer};
use crate::value::number::compare::{equal, is_truthy, partial_compare};

/// What a predicate is of two numbers of one class.
fn predicate(op: Binary, l: Number, r: Number) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let order = partial_compare(l, r);
    match op {
        Binary::Eq => equal(l, r),
        Binary::Ne => !equal(l, r),
        Binary::Gt => order == Some(Greater),
        Binary::Ge => matches!(order, Some(Greater | Equal)),
        Binary::Lt => order == Some(Less),
        Binary::Le => matches!(order, Some(Less | Equal)),
        Binary::And => is_truthy(l) && is_truthy(r),
        Binary::Or => is_truthy(l) || is_truthy(r),
        Binary::Xor => is_truthy(l) != is_truthy(r),
        _ => panic!("{op:?} is no predicate"),
    }
}

/// What an arithmetic function is of two integers: exact, and then cut to the bits that the class has.
fn of_integers(op: Binary, l: Number, r: Number) -> Number {
    let (a, b) = (to_integer(l).unwrap(), to_integer(r).unwrap());
    let exact = match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a.wrapping_mul(b),
        Binary::Div => a.checked_div(b).unwrap_or(0),
        Binary::Mod if b == 0 => 0,
        Binary::Mod => a - b * (a as f64 / b as f64).floor() as i128,
        Binary::Pow if b < 0 => match a {
            1 => 1,
            -1 if b % 2 == 0 => 1,
            -1 => -1,
            _ => 0,
        },
        // Base 2⁶⁴ wraps around to 0 in 64 bits.
        Binary::Pow => (0..b.min(70)).fold(1i128, |power, _| (power.wrapping_mul(a) as u64).into()),
        _ => panic!("{op:?} is no function of integers"),
    };
    cast(Number::U64(exact as u64), l.class())
}

/// Whether the reference can be trusted: it goes through floats for remainders, and does not go far for powers.
fn is_simple(op: Binary, l: Number, r: Number) -> bool {
    let (Some(a), Some(b)) = (to_integer(l), to_integer(r)) else { return true };
    match op {
        Binary::Mod => a.abs() < 1 << 50 && b.abs() < 1 << 50,
        Binary::Pow => b <= 64 || matches!(a, 0 | 1),
        _ => true,
    }
}

/// All pairs of numbers: what is left, and what is right.
fn pairs(class: NumberClass) -> (Vec<Number>, Vec<Number>) {
    let all = numbers(class);
    all.iter().flat_map(|l| all.iter().map(|r| (*l, *r))).unzip()
}

/// Checks a function of all pairs, where both are pieces, and where one is a number.
#[track_caller]
fn check(op: Binary, class: NumberClass, assert: impl Fn(Number, Number, Number)) {
    let (l, r) = pairs(class);
    let found = Chunk::binary(op, chunk(class, &l).into(), chunk(class, &r).into()).unwrap().download().unwrap();
    found.iter().zip(l.iter().zip(&r)).for_each(|(found, (l, r))| assert(found, *l, *r));

    let all = numbers(class);
    for number in numbers(class) {
        let found = Chunk::binary(op, chunk(class, &all).into(), number.into()).unwrap().download().unwrap();
        found.iter().zip(&all).for_each(|(found, l)| assert(found, *l, number));
        let found = Chunk::binary(op, number.into(), chunk(class, &all).into()).unwrap().download().unwrap();
        found.iter().zip(&all).for_each(|(found, r)| assert(found, number, *r));
    }
}

fn is_order(op: Binary) -> bool {
    matches!(op, Binary::Gt | Binary::Ge | Binary::Lt | Binary::Le)
}

#[test]
fn predicates_are_those_of_numbers() {
    for class in NumberClass::ALL {
        for op in binary_ops().into_iter().filter(|op| op.is_predicate()) {
            if class.kind() == NumberKind::Complex && is_order(op) {
                continue;
            }
            check(op, class, |found, l, r| {
                assert_same(found, Number::Bool(predicate(op, l, r)), &(op, l, r));
            });
        }
    }
}

#[test]
fn integers_wrap_around() {
    let classes = NumberClass::ALL.into_iter();
    for class in classes.filter(|class| matches!(class.kind(), NumberKind::UInt | NumberKind::Int)) {
        for op in [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Mod, Binary::Pow] {
            check(op, class, |found, l, r| {
                if is_simple(op, l, r) {
                    assert_same(found, of_integers(op, l, r), &(op, l, r));
                }
            });
        }
    }
}

#[test]
fn booleans_follow_their_own_rules() {
    use Binary::*;
    // For (false, false), (false, true), (true, false) and (true, true).
    let table = [
        (Add, [false, true, true, true]),
        (Sub, [false, false, true, false]),
        (Mul, [false, false, false, true]),
        (Div, [false, false, false, true]),
        (Pow, [true, false, true, true]),
        (Mod, [false; 4]),
        (Eq, [true, false, false, true]),
        (Ne, [false, true, true, false]),
        (Gt, [false, false, true, false]),
        (Ge, [true, false, true, true]),
        (Lt, [false, true, false, false]),
        (Le, [true, true, false, true]),
        (And, [false, false, false, true]),
        (Or, [false, true, true, true]),
        (Xor, [false, true, true, false]),
    ];
    for (op, results) in table {
        check(op, NumberClass::Bool, |found, l, r| {
            let at = usize::from(is_truthy(l)) * 2 + usize::from(is_truthy(r));
            assert_same(found, Number::Bool(results[at]), &(op, l, r));
        });
    }
}

/// What an arithmetic function is of two floats.
fn of_floats(op: Binary, l: Number, r: Number) -> Number {
    macro_rules! compute {
        ($class:ident, $l:expr, $r:expr) => {
            Number::$class(match op {
                Binary::Add => $l + $r,
                Binary::Sub => $l - $r,
                Binary::Mul => $l * $r,
                Binary::Div => $l / $r,
                Binary::Pow => $l.powf($r),
                Binary::LogBase => $l.ln() / $r.ln(),
                // As in numpy: the sign is that of the divisor, also of zero.
                Binary::Mod => match $l % $r {
                    rest if rest == 0.0 => rest.abs().copysign($r),
                    rest if (rest < 0.0) != ($r < 0.0) => rest + $r,
                    rest => rest,
                },
                _ => panic!("{op:?} is no function of floats"),
            })
        };
    }
    match (l, r) {
        (Number::F32(l), Number::F32(r)) => compute!(F32, l, r),
        (Number::F64(l), Number::F64(r)) => compute!(F64, l, r),
        _ => panic!("{l:?} and {r:?} are no floats"),
    }
}

#[test]
fn floats_are_computed_as_the_standard_library_does() {
    for class in [NumberClass::F32, NumberClass::F64] {
        for op in [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Mod] {
            check(op, class, |found, l, r| match is_truthy(found) {
                true => assert_same(found, of_floats(op, l, r), &(op, l, r)),
                // 0 − x is −x + 0 if the 0 is a number: the sign of a zero may differ.
                false => assert_eq!(to_f64(found), to_f64(of_floats(op, l, r)), "{op:?} {l:?} {r:?}"),
            });
        }
        for op in [Binary::Pow, Binary::LogBase] {
            check(op, class, |found, l, r| {
                // Roots of infinity are NaN, as in numpy.
                let is_root = to_f64(l) == f64::NEG_INFINITY && to_f64(r) == 0.5;
                if !is_root {
                    assert_close(found, of_floats(op, l, r), &(op, l, r));
                }
            });
        }
    }
}

#[test]
fn remainders_are_floored() {
    let dividends = [-4.0, -3.0, 3.0, 4.0, -1.0].map(Number::F64);
    let rest = |divisor| {
        let chunk = chunk(NumberClass::F64, &dividends);
        Chunk::binary(Binary::Mod, chunk.into(), Number::F64(divisor).into()).unwrap().download().unwrap()
    };
    assert_eq!(rest(2.0).typed::<f64>(), [0.0, 1.0, 1.0, 0.0, 1.0]);
    assert_eq!(rest(-2.0).typed::<f64>(), [0.0, -1.0, -1.0, 0.0, -1.0]);
    assert!(rest(2.0).typed::<f64>()[0].is_sign_positive());
    assert!(rest(-2.0).typed::<f64>()[3].is_sign_negative());
    assert!(rest(0.0).iter().all(|rest| to_f64(rest).is_nan()));
}

#[test]
fn results_are_those_of_the_protocol() {
    let ints = |numbers: [i32; 4]| chunk(NumberClass::I32, &numbers.map(Number::I32));
    let compute = |op, l: [i32; 4], r: Operand| {
        Chunk::binary(op, ints(l).into(), r).unwrap().download().unwrap().typed::<i32>().to_vec()
    };
    assert_eq!(compute(Binary::Div, [1, 2, -3, 4], Number::I32(2).into()), [0, 1, -1, 2]);
    assert_eq!(compute(Binary::Div, [1, 0, -1, 2], ints([0, 0, 2, -2]).into()), [0, 0, 0, -1]);
    assert_eq!(compute(Binary::Pow, [1, 0, -1, 2], Number::I32(-1).into()), [1, 0, -1, 0]);
    assert_eq!(compute(Binary::Mul, [1, 2, 3, 4], Number::I32(i32::MAX).into()), [i32::MAX, -2, 2_147_483_645, -4]);
    assert_eq!(compute(Binary::Div, [i32::MIN, 1, 2, 3], Number::I32(-1).into()), [i32::MIN, -1, -2, -3]);
    let bytes = chunk(NumberClass::U8, &[Number::U8(10), Number::U8(1)]);
    let difference = Chunk::binary(Binary::Sub, bytes.into(), Number::U8(5).into()).unwrap().download().unwrap();
    assert_eq!(difference.typed::<u8>(), [5, 252]);
    let roots = chunk(NumberClass::F64, &[1.0, 2.0, 5.0].map(Number::F64));
    let roots = Chunk::binary(Binary::Pow, roots.into(), Number::F64(0.5).into()).unwrap().download().unwrap();
    assert_eq!(roots.typed::<f64>(), [1.0, std::f64::consts::SQRT_2, 2.236_067_977_499_79]);
}

/// What an arithmetic function is of two complex numbers.
fn of_complexes(op: Binary, l: Complex64, r: Complex64) -> Complex64 {
    match op {
        Binary::Add => l + r,
        Binary::Sub => l - r,
        Binary::Mul => l * r,
        Binary::Div if r == Complex64::new(0.0, 0.0) => Complex64::new(l.re / 0.0, l.im / 0.0),
        Binary::Div => l / r,
        Binary::LogBase => of_complexes(Binary::Div, l.ln(), r.ln()),
        Binary::Pow => match crate::value::number::arith::pow(Number::C64(l), Number::C64(r)) {
            Ok(Number::C64(power)) => power,
            other => panic!("{other:?}"),
        },
        _ => panic!("{op:?} is no function of complex numbers"),
    }
}

#[test]
fn complex_numbers_are_computed_by_parts() {
    let wide = |number| match cast(number, NumberClass::C64) {
        Number::C64(number) => number,
        other => panic!("{other:?}"),
    };
    for class in [NumberClass::C32, NumberClass::C64] {
        for op in [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Pow] {
            check(op, class, |found, l, r| {
                let expected = cast(Number::C64(of_complexes(op, wide(l), wide(r))), class);
                // A power that overflows in one of the ways of computing it is not finite in any.
                let is_finite = [found, expected].iter().all(|n| wide(*n).is_finite());
                if op == Binary::Pow && !is_finite {
                    return;
                }
                assert_close(found, expected, &(op, l, r));
            });
        }
        let bases = [Number::C64(Complex64::new(2.0, 1.0)); 3];
        let numbers = [(1.0, 2.0), (8.0, 0.0), (-1.0, 0.5)].map(|(re, im)| Number::C64(Complex64::new(re, im)));
        let logs = Chunk::binary(Binary::LogBase, chunk(class, &numbers).into(), chunk(class, &bases).into());
        for (found, of) in logs.unwrap().download().unwrap().iter().zip(numbers) {
            let expected = of_complexes(Binary::LogBase, wide(of), wide(bases[0]));
            assert_close(found, cast(Number::C64(expected), class), &of);
        }
    }
}

#[test]
fn complex_numbers_have_neither_order_nor_remainder() {
    let all = numbers(NumberClass::C64);
    for (op, message) in [
        (Binary::Gt, "complex numbers have no order"),
        (Binary::Le, "complex numbers have no order"),
        (Binary::Mod, "complex numbers have no remainder"),
    ] {
        let chunk = chunk(NumberClass::C64, &all);
        let error = Chunk::binary(op, chunk.clone().into(), chunk.into()).unwrap_err();
        assert_eq!((error.kind(), error.message()), (Kind::BadRequest, message));
    }
}

#[test]
fn operands_have_to_fit() {
    let one = || chunk(NumberClass::I32, &[Number::I32(1)]);
    let two = chunk(NumberClass::I32, &[Number::I32(1), Number::I32(2)]);
    let other = chunk(NumberClass::F32, &[Number::F32(1.0)]);
    let number = || Operand::Number(Number::I32(1));
    for (op, l, r) in [
        (Binary::Add, one().into(), two.into()),
        (Binary::Add, one().into(), other.clone().into()),
        (Binary::Add, number(), number()),
        (Binary::LogBase, one().into(), number()),
    ] {
        assert_eq!(Chunk::binary(op, l, r).unwrap_err().kind(), Kind::Internal);
    }
    // Logic is of all classes.
    let both = Chunk::binary(Binary::And, one().into(), other.into()).unwrap().download().unwrap();
    assert_eq!(both.typed::<u8>(), [1]);
}
