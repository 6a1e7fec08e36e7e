//! From which size on a device takes less time than the CPU.

use std::time::Duration;

use burn::tensor::Device;

use super::op::Work;
use super::open::guarded;
use crate::env::Clock;
use crate::error::Result;
use crate::exec::tensor::kernel::Chunk;
use crate::value::tensor::{Binary, Elements, Unary};
use crate::value::{Number, NumberClass};

/// Runs of which the fastest counts. The first is one too many, as that is when code is made.
const RUNS: usize = 4;
/// What a size may take on the CPU. Larger sizes are not measured.
const TIME_MAX: Duration = Duration::from_millis(300);
/// Elements of pieces, smallest first; at most 16 MiB.
const LENS: [usize; 7] = [1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22];
/// Sides of matrices, smallest first.
const SIDES: [usize; 6] = [32, 64, 128, 256, 512, 1024];

/// The work from which on a device takes less time than the CPU, bringing the operands there and the result back included: counted
/// in elements, or in multiplications for a product of matrices. None if it never does.
pub(super) fn threshold(work: Work, device: &Device, cpu: &Device, clock: &dyn Clock) -> Option<usize> {
    let sizes: &[usize] = if work == Work::Product { &SIDES } else { &LENS };
    let mut times = Vec::new();
    for size in sizes {
        let on = |device| guarded(|| time(work, *size, device, clock)).ok();
        let (Some(cpu), Some(device)) = (on(cpu), on(device)) else { break };
        let amount = if work == Work::Product { size.pow(3) } else { *size };
        times.push((amount, cpu, device));
        if cpu > TIME_MAX {
            break;
        }
    }
    first_faster(&times)
}

/// The first amount from which on the device is always faster.
fn first_faster(times: &[(usize, Duration, Duration)]) -> Option<usize> {
    times.iter().rev().take_while(|(_, cpu, device)| device < cpu).last().map(|(amount, ..)| *amount)
}

/// What a function of this size takes.
fn time(work: Work, size: usize, device: &Device, clock: &dyn Clock) -> Result<Duration> {
    let len = if work == Work::Product { size * size } else { size };
    let elements = Elements::from_vec(NumberClass::F32, vec![1.5f32; len]);
    let mut fastest = Duration::MAX;
    for run in 0..RUNS {
        let start = clock.now();
        let chunk = Chunk::upload(&elements, device)?;
        let result = match work {
            Work::Light => Chunk::binary(Binary::Add, chunk.into(), Number::F32(1.0).into())?,
            Work::Heavy => chunk.unary(Unary::Exp)?,
            Work::Product => Chunk::matmul(chunk.clone(), chunk, 1, size, size, size)?,
        };
        result.download()?;
        if run > 0 {
            fastest = fastest.min(clock.now().saturating_duration_since(start));
        }
    }
    Ok(fastest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::SystemClock;

    #[test]
    fn a_device_is_used_from_where_it_is_always_faster() {
        let times = |times: &[(usize, u64, u64)]| {
            let times =
                times.iter().map(|(n, cpu, device)| (*n, Duration::from_micros(*cpu), Duration::from_micros(*device)));
            first_faster(&times.collect::<Vec<_>>())
        };
        assert_eq!(times(&[(1, 1, 9), (2, 8, 9), (4, 20, 10), (8, 60, 15)]), Some(4));
        assert_eq!(times(&[(1, 9, 1), (2, 8, 9), (4, 20, 10)]), Some(4));
        assert_eq!(times(&[(1, 1, 9), (2, 8, 9)]), None);
        assert_eq!(times(&[]), None);
    }

    #[test]
    fn every_work_is_done() {
        for work in [Work::Light, Work::Heavy, Work::Product] {
            let time = time(work, 8, &Device::flex(), &SystemClock).unwrap();
            assert!(time < Duration::MAX, "{work:?}");
        }
    }
}
