//! Which device computes a function.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use burn::tensor::Device;

use super::choice::DeviceChoice;
use super::measure::threshold;
use super::op::{OpKey, Work};
use super::open::{Found, open};
use super::probe::{Verdict, probe};
use crate::env::Clock;
use crate::value::NumberClass;

/// The devices of a host.
#[derive(Debug)]
pub struct Devices {
    cpu: Device,
    /// What was found beside it: nothing as long as it is looked for.
    accelerator: OnceLock<Result<Accelerator, String>>,
}

/// A device beside the CPU, and what is placed there.
#[derive(Debug)]
struct Accelerator {
    device: Device,
    name: String,
    verdicts: HashMap<(OpKey, NumberClass), Verdict>,
    /// From which amount on the device is faster, if it ever is: of light work, heavy work, and products of matrices.
    thresholds: [Option<usize>; 3],
}

/// Why something is computed where it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Why {
    /// There is nothing but the CPU.
    Alone,
    /// An accelerator is being looked for, or tried.
    Looking,
    /// The accelerator does not compute this.
    Refused(String),
    /// The CPU is faster, up to this amount, if the accelerator ever is.
    Small { from: Option<usize> },
    /// The accelerator computes this, and faster.
    Faster,
}

/// A line of the table of what is placed where.
#[derive(Clone, Debug)]
pub struct Row {
    pub op: OpKey,
    pub dtype: NumberClass,
    /// The name of the accelerator.
    pub device: String,
    pub verdict: Verdict,
}

impl Devices {
    /// The CPU alone.
    pub fn cpu_only() -> Self {
        Self { cpu: Device::flex(), accelerator: OnceLock::from(Err("no other device was asked for".to_string())) }
    }

    /// The CPU, and what is found beside it in the background. Until that was tried, everything is on the CPU.
    pub fn start(choice: DeviceChoice, clock: Arc<dyn Clock>) -> Arc<Self> {
        if choice.kinds().is_empty() {
            return Arc::new(Self::cpu_only());
        }
        let devices = Arc::new(Self { cpu: Device::flex(), accelerator: OnceLock::new() });
        let theirs = Arc::clone(&devices);
        let thread = std::thread::Builder::new().name("devices".into()).spawn(move || theirs.look(choice, &*clock));
        if let Err(error) = thread {
            tracing::warn!(%error, "no thread to look for devices");
            // Nobody else sets this.
            let _ = devices.accelerator.set(Err(error.to_string()));
        }
        devices
    }

    /// Looks for an accelerator, tries it, and uses it from then on.
    fn look(&self, choice: DeviceChoice, clock: &dyn Clock) {
        let accelerator = match open(choice.kinds()) {
            Ok(found) => Ok(Accelerator::new(found, &self.cpu, clock)),
            Err(reason) => {
                match choice {
                    DeviceChoice::Auto => tracing::debug!(%reason, "tensors are computed by the CPU alone"),
                    _ => {
                        tracing::warn!(device = %choice, %reason, "no such device; tensors are computed by the CPU alone")
                    }
                }
                Err(reason)
            }
        };
        // Nobody else sets this.
        let _ = self.accelerator.set(accelerator);
    }

    /// The CPU.
    pub fn cpu(&self) -> &Device {
        &self.cpu
    }

    /// The device that computes a function of operands of a class, and why. `work` is how many elements there are; for a product
    /// of matrices, how many multiplications.
    pub fn place(&self, op: OpKey, dtype: NumberClass, work: usize) -> (&Device, Why) {
        match self.accelerator.get() {
            None => (&self.cpu, Why::Looking),
            Some(Err(_)) => (&self.cpu, Why::Alone),
            Some(Ok(accelerator)) => match accelerator.why(op, dtype, work) {
                Why::Faster => (&accelerator.device, Why::Faster),
                why => (&self.cpu, why),
            },
        }
    }

    /// The device that computes several functions of the same elements, without bringing them back in between: the accelerator if
    /// it computes all of them, and one is worth it.
    pub fn place_all(&self, ops: impl IntoIterator<Item = (OpKey, NumberClass)>, work: usize) -> &Device {
        let Some(Ok(accelerator)) = self.accelerator.get() else { return &self.cpu };
        let mut is_worth_it = false;
        for (op, dtype) in ops {
            match accelerator.why(op, dtype, work) {
                Why::Faster => is_worth_it = true,
                Why::Small { .. } => {}
                _ => return &self.cpu,
            }
        }
        if is_worth_it { &accelerator.device } else { &self.cpu }
    }

    /// What was found out about the accelerator, in the order of classes and functions; nothing without one.
    pub fn table(&self) -> Vec<Row> {
        let Some(Ok(accelerator)) = self.accelerator.get() else { return vec![] };
        let keys = NumberClass::ALL.into_iter().flat_map(|dtype| OpKey::all().map(move |op| (op, dtype)));
        let rows = keys.filter_map(|(op, dtype)| {
            let verdict = accelerator.verdicts.get(&(op, dtype))?.clone();
            Some(Row { op, dtype, device: accelerator.name.clone(), verdict })
        });
        rows.collect()
    }
}

impl Accelerator {
    /// Tries a device.
    fn new(found: Found, cpu: &Device, clock: &dyn Clock) -> Self {
        let start = clock.now();
        let Found { device, name } = found;
        let keys = NumberClass::ALL.into_iter().flat_map(|dtype| OpKey::all().map(move |op| (op, dtype)));
        let verdicts = keys.filter_map(|(op, dtype)| Some(((op, dtype), probe(op, dtype, &device, cpu)?)));
        let verdicts: HashMap<_, _> = verdicts.collect();
        let thresholds = [Work::Light, Work::Heavy, Work::Product].map(|work| threshold(work, &device, cpu, clock));
        let accepted = verdicts.values().filter(|verdict| verdict.is_accepted()).count();
        let [light, heavy, product] = thresholds;
        let seconds = clock.now().saturating_duration_since(start).as_secs_f64();
        let of = verdicts.len();
        tracing::info!(device = %name, accepted, of, ?light, ?heavy, ?product, seconds, "tensors have another device");
        Self { device, name, verdicts, thresholds }
    }

    fn why(&self, op: OpKey, dtype: NumberClass, work: usize) -> Why {
        let [light, heavy, product] = self.thresholds;
        let from = match op.work() {
            Work::Light => light,
            Work::Heavy => heavy,
            Work::Product => product,
        };
        match self.verdicts.get(&(op, dtype)) {
            None => Why::Refused("not tried".into()),
            Some(Verdict::Refused(reason)) => Why::Refused(reason.clone()),
            Some(_) if from.is_some_and(|from| work >= from) => Why::Faster,
            Some(_) => Why::Small { from },
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Alone => f.write_str("there is no other device"),
            Why::Looking => f.write_str("other devices are still being tried"),
            Why::Refused(reason) => write!(f, "the other device is refused: {reason}"),
            Why::Small { from: Some(from) } => write!(f, "the other device is faster only from {from} on"),
            Why::Small { from: None } => f.write_str("the other device is never faster"),
            Why::Faster => f.write_str("faster"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::SystemClock;
    use crate::value::tensor::{Binary, Unary};

    const ADD: OpKey = OpKey::Binary(Binary::Add);
    const EXP: OpKey = OpKey::Unary(Unary::Exp);

    /// A host whose accelerator is the CPU once more.
    fn devices() -> Devices {
        let verdicts = [
            ((ADD, NumberClass::F32), Verdict::Exact),
            ((EXP, NumberClass::F32), Verdict::Placed { ulps: 2 }),
            ((EXP, NumberClass::F64), Verdict::Refused("computed 7e-315".into())),
            ((OpKey::MatMul, NumberClass::F32), Verdict::Exact),
        ];
        let accelerator = Accelerator {
            device: Device::flex(),
            name: "sample".into(),
            verdicts: verdicts.into(),
            thresholds: [Some(1000), Some(100), None],
        };
        Devices { cpu: Device::flex(), accelerator: OnceLock::from(Ok(accelerator)) }
    }

    #[test]
    fn what_is_large_enough_and_right_is_placed() {
        let devices = devices();
        let why = |op, dtype, work| devices.place(op, dtype, work).1;
        assert_eq!(why(ADD, NumberClass::F32, 1000), Why::Faster);
        assert_eq!(why(ADD, NumberClass::F32, 999), Why::Small { from: Some(1000) });
        assert_eq!(why(EXP, NumberClass::F32, 999), Why::Faster);
        assert_eq!(why(EXP, NumberClass::F64, 1 << 20), Why::Refused("computed 7e-315".into()));
        assert_eq!(why(ADD, NumberClass::U8, 1 << 20), Why::Refused("not tried".into()));
        assert_eq!(why(OpKey::MatMul, NumberClass::F32, usize::MAX), Why::Small { from: None });
    }

    #[test]
    fn functions_together_need_all_to_be_right_and_one_to_be_worth_it() {
        let devices = devices();
        let is_placed = |ops: &[(OpKey, NumberClass)], work| {
            let device: *const Device = devices.place_all(ops.iter().copied(), work);
            !std::ptr::eq(device, devices.cpu())
        };
        assert!(is_placed(&[(ADD, NumberClass::F32), (EXP, NumberClass::F32)], 100));
        assert!(!is_placed(&[(ADD, NumberClass::F32), (EXP, NumberClass::F32)], 99));
        assert!(!is_placed(&[(ADD, NumberClass::F32), (EXP, NumberClass::F64)], 5000));
        assert!(!is_placed(&[], 5000));
    }

    #[test]
    fn the_table_lists_what_was_tried() {
        let table = devices().table();
        let rows: Vec<String> =
            table.iter().map(|row| format!("{} {:?} {}: {}", row.op, row.dtype, row.device, row.verdict)).collect();
        let expected = [
            "exp F32 sample: within 2 ulp",
            "add F32 sample: exact",
            "matmul F32 sample: exact",
            "exp F64 sample: refused: computed 7e-315",
        ];
        assert_eq!(rows, expected);
        assert!(Devices::cpu_only().table().is_empty());
    }

    #[test]
    fn the_cpu_is_used_alone_if_that_is_wanted() {
        let devices = Devices::start(DeviceChoice::Cpu, Arc::new(SystemClock));
        let (device, why) = devices.place(ADD, NumberClass::F32, usize::MAX);
        assert_eq!((device, why), (devices.cpu(), Why::Alone));
    }

    #[test]
    fn looking_for_devices_ends() {
        // A host waits for none; that nothing hangs or panics is seen here.
        let devices = Devices { cpu: Device::flex(), accelerator: OnceLock::new() };
        assert_eq!(devices.place(ADD, NumberClass::F32, 1).1, Why::Looking);
        devices.look(DeviceChoice::Cpu, &SystemClock);
        assert_eq!(devices.place(ADD, NumberClass::F32, 1).1, Why::Alone);
    }
}
