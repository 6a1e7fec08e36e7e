//! Whether a device computes what the CPU computes.

use std::fmt;

use burn::tensor::Device;

use super::op::OpKey;
use super::open::guarded;
use super::values::{is_exact, numbers};
use crate::error::Result;
use crate::exec::tensor::kernel::{Chunk, Operand, burn_dtype};
use crate::value::number::cast::cast;
use crate::value::tensor::{Elements, Reduction};
use crate::value::{Number, NumberClass};

/// How many floats apart a result may be from that of the CPU. Libraries of mathematical functions differ by one or two.
const ULPS_MAX: u64 = 4;

/// What was found out about a function of a class on a device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// All results are those of the CPU.
    Exact,
    /// The results are floats that are this many floats apart from those of the CPU, at most.
    Placed { ulps: u64 },
    /// This is computed on the CPU, and why.
    Refused(String),
}

impl Verdict {
    /// Whether the device may compute this.
    pub fn is_accepted(&self) -> bool {
        !matches!(self, Verdict::Refused(_))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Exact => f.write_str("exact"),
            Verdict::Placed { ulps } => write!(f, "within {ulps} ulp"),
            Verdict::Refused(reason) => write!(f, "refused: {reason}"),
        }
    }
}

/// Compares a function on a device with the CPU; none if it is not defined for the class.
pub(super) fn probe(op: OpKey, class: NumberClass, device: &Device, cpu: &Device) -> Option<Verdict> {
    let expected = run(op, class, cpu).ok()?;
    if !op.is_of_devices(class) {
        return Some(Verdict::Refused("computed in memory".into()));
    }
    // That a class is supported says little; that it is not is true. How booleans are kept is the business of the device.
    if class != NumberClass::Bool && !device.supports_dtype(burn_dtype(class)) {
        return Some(Verdict::Refused(format!("the device does not know {class:?}")));
    }
    Some(match guarded(|| run(op, class, device)) {
        Ok(found) => verdict(&expected, &found),
        Err(error) => Verdict::Refused(error.message().into()),
    })
}

fn verdict(expected: &[Elements], found: &[Elements]) -> Verdict {
    let mut most = 0;
    for (expected, found) in expected.iter().zip(found) {
        match distance(expected, found) {
            Ok(ulps) => most = most.max(ulps),
            Err(at) => {
                let (expected, found) = (expected.get(at), found.get(at));
                return Verdict::Refused(format!("computed {found:?}, not {expected:?}"));
            }
        }
    }
    if most == 0 { Verdict::Exact } else { Verdict::Placed { ulps: most } }
}

/// How many floats two results are apart, at most; or which element differs too much.
fn distance(expected: &Elements, found: &Elements) -> Result<u64, usize> {
    let mut most = 0;
    for (at, (expected, found)) in expected.iter().zip(found.iter()).enumerate() {
        let ulps = match (expected, found) {
            (Number::F32(l), Number::F32(r)) => ulps_32(l, r),
            (Number::F64(l), Number::F64(r)) => ulps_64(l, r),
            (Number::C32(l), Number::C32(r)) => ulps_32(l.re, r.re).max(ulps_32(l.im, r.im)),
            (Number::C64(l), Number::C64(r)) => ulps_64(l.re, r.re).max(ulps_64(l.im, r.im)),
            (l, r) if l == r => 0,
            _ => u64::MAX,
        };
        if ulps > ULPS_MAX {
            return Err(at);
        }
        most = most.max(ulps);
    }
    Ok(most)
}

fn ulps_32(l: f32, r: f32) -> u64 {
    // Among their own kind floats are ordered like integers, those that are negative backwards.
    let place = |n: f32| {
        let bits = i64::from(n.to_bits() & !(1 << 31));
        if n.is_sign_negative() { -bits } else { bits }
    };
    ulps(l.into(), r.into(), place(l).abs_diff(place(r)))
}

fn ulps_64(l: f64, r: f64) -> u64 {
    let place = |n: f64| {
        let bits = (n.to_bits() & !(1 << 63)).cast_signed();
        if n.is_sign_negative() { -bits } else { bits }
    };
    ulps(l, r, place(l).abs_diff(place(r)))
}

/// `distance`, unless one of the numbers is not finite: then both have to be the same.
fn ulps(l: f64, r: f64, distance: u64) -> u64 {
    if l == r || (l.is_nan() && r.is_nan()) {
        0
    } else if l.is_finite() && r.is_finite() {
        distance
    } else {
        u64::MAX
    }
}

/// Results of a function on a device.
fn run(op: OpKey, class: NumberClass, device: &Device) -> Result<Vec<Elements>> {
    let all = numbers(class);
    let upload = |numbers: &[Number]| Chunk::upload(&Elements::from_numbers(class, numbers.iter().copied()), device);
    let results = match op {
        OpKey::Cast(to) => vec![upload(&all)?.cast(to)?],
        OpKey::Unary(op) => vec![upload(&all)?.unary(op)?],
        OpKey::Binary(op) => {
            let (l, r): (Vec<Number>, Vec<Number>) = all.iter().flat_map(|l| all.iter().map(|r| (*l, *r))).unzip();
            let mut results = vec![Chunk::binary(op, upload(&l)?.into(), upload(&r)?.into())?];
            for number in [2.0, 0.5, 3.0].map(|number| cast(Number::F64(number), class)) {
                results.push(Chunk::binary(op, upload(&all)?.into(), number.into())?);
                results.push(Chunk::binary(op, number.into(), upload(&all)?.into())?);
            }
            results
        }
        OpKey::Select => {
            let backwards: Vec<Number> = all.iter().rev().copied().collect();
            let number = || Operand::Number(all[1]);
            vec![
                Chunk::select(upload(&all)?, upload(&all)?.into(), upload(&backwards)?.into(), class)?,
                Chunk::select(upload(&all)?, number(), upload(&backwards)?.into(), class)?,
                Chunk::select(upload(&all)?, upload(&backwards)?.into(), number(), class)?,
            ]
        }
        OpKey::Reduce(op) => reductions(op, all, upload)?,
        OpKey::MatMul => products(class, upload)?,
    };
    results.into_iter().map(Chunk::download).collect()
}

fn reductions(op: Reduction, mut all: Vec<Number>, upload: impl Fn(&[Number]) -> Result<Chunk>) -> Result<Vec<Chunk>> {
    if matches!(op, Reduction::Sum | Reduction::Product) {
        // Other sums depend on their order, which is up to the device.
        all.retain(|number| is_exact(*number));
    }
    all.truncate(all.len() / 4 * 4);
    let len = all.len();
    let axes = [(1, len, 1), (len / 4, 4, 1), (1, 4, len / 4), (2, 2, len / 4)];
    axes.into_iter().map(|(outer, len, inner)| upload(&all)?.reduce(op, outer, len, inner)).collect()
}

/// Products of small matrices, and of one that is large enough for the ways of multiplying that are meant for such.
fn products(class: NumberClass, upload: impl Fn(&[Number]) -> Result<Chunk>) -> Result<Vec<Chunk>> {
    // Multiples of a quarter: their products are exact, in whatever order these are summed.
    let element = |at: usize| cast(Number::F64(((at * 7 + at / 3) % 33) as f64 / 4.0 - 4.0), class);
    let matrix = |len: usize, start: usize| -> Vec<Number> { (start..start + len).map(element).collect() };
    let sizes = [(1, 1, 1, 1), (2, 3, 4, 5), (1, 1, 128, 1), (1, 70, 65, 67), (1, 128, 128, 128)];
    let products = sizes.into_iter().map(|(batch, rows, inner, cols)| {
        let (l, r) = (upload(&matrix(batch * rows * inner, 0))?, upload(&matrix(batch * inner * cols, 5))?);
        Chunk::matmul(l, r, batch, rows, inner, cols)
    });
    products.collect()
}

#[cfg(test)]
mod tests {
    use super::super::choice::DeviceChoice;
    use super::super::open::open;
    use super::*;
    use crate::value::number::NumberKind;
    use crate::value::tensor::{Binary, Unary};

    #[test]
    fn the_cpu_agrees_with_itself() {
        let cpu = Device::flex();
        for class in NumberClass::ALL {
            for op in OpKey::all() {
                match probe(op, class, &cpu, &cpu) {
                    Some(Verdict::Exact) => assert!(op.is_of_devices(class), "{op} of {class:?}"),
                    Some(verdict) => {
                        assert_eq!(verdict, Verdict::Refused("computed in memory".into()), "{op} of {class:?}");
                        assert!(!op.is_of_devices(class));
                    }
                    // Most functions are not defined for integers before these are cast, and complex numbers have no order.
                    None => {
                        let is_unary = matches!(op, OpKey::Unary(_)) && class.kind() < NumberKind::Float;
                        let is_log = matches!(op, OpKey::Binary(Binary::LogBase)) && class.kind() < NumberKind::Float;
                        assert!(is_unary || is_log || class.kind() == NumberKind::Complex, "{op} of {class:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn distances_are_counted_in_floats() {
        let next = |n: f64| f64::from_bits(n.to_bits() + 1);
        assert_eq!(ulps_64(1.0, next(1.0)), 1);
        assert_eq!(ulps_64(0.0, -0.0), 0);
        assert_eq!(ulps_64(f64::from_bits(1), -f64::from_bits(2)), 3);
        assert_eq!(ulps_64(f64::NAN, -f64::NAN), 0);
        assert_eq!(ulps_64(f64::MAX, f64::INFINITY), u64::MAX);
        assert_eq!(ulps_32(1.0, 1.000_000_2), 2);
        assert_eq!(ulps_32(f32::NAN, 1.0), u64::MAX);
    }

    #[test]
    fn what_differs_is_refused() {
        let elements = |numbers: &[f32]| vec![Elements::from_vec(NumberClass::F32, numbers.to_vec())];
        assert_eq!(verdict(&elements(&[1.0, 2.0]), &elements(&[1.0, 2.0])), Verdict::Exact);
        let near = verdict(&elements(&[1.0]), &elements(&[1.000_000_1]));
        assert_eq!(near, Verdict::Placed { ulps: 1 });
        let far = verdict(&elements(&[0.0, 1.0]), &elements(&[0.0, 7e-42]));
        assert_eq!(far.to_string(), "refused: computed F32(7e-42), not F32(1.0)");
        assert!(near.is_accepted() && !far.is_accepted());
        let ints = |n: i32| vec![Elements::from_vec(NumberClass::I32, vec![n])];
        assert!(!verdict(&ints(1), &ints(2)).is_accepted());
    }

    /// Where there is a driver in software, which has to be said: `TINYCHAIN_TEST_DEVICE=software`.
    #[test]
    fn a_driver_in_software_agrees_with_the_cpu() {
        if std::env::var("TINYCHAIN_TEST_DEVICE").as_deref() != Ok("software") {
            eprintln!("skipped: TINYCHAIN_TEST_DEVICE is not software");
            return;
        }
        let found = open(DeviceChoice::Software.kinds()).unwrap();
        let ops = [
            OpKey::Binary(Binary::Add),
            OpKey::Binary(Binary::Mul),
            OpKey::Binary(Binary::Lt),
            OpKey::Unary(Unary::Abs),
            OpKey::Reduce(Reduction::Sum),
        ];
        // Choosing NaN is not what this driver can: it is seen, and never placed there.
        let select = probe(OpKey::Select, NumberClass::F32, &found.device, &Device::flex()).unwrap();
        assert!(select.is_accepted() || select.to_string().contains("not F32(NaN)"), "{select}");
        for op in ops.into_iter().chain([OpKey::MatMul]) {
            for class in [NumberClass::F32, NumberClass::I32] {
                let verdict = probe(op, class, &found.device, &Device::flex()).unwrap();
                let is_known = class == NumberClass::F32 || op != OpKey::MatMul;
                assert!(verdict.is_accepted() || !is_known, "{op} of {class:?} on {}: {verdict}", found.name);
            }
        }
    }
}
