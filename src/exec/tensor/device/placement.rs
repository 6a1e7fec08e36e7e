//! Which device computes a function.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use burn::tensor::Device;

use super::choice::DeviceChoice;
use super::measure::threshold;
use super::op::{OpKey, Work};
use super::open::{Found, open};
use super::probe::{Verdict, probe};
use super::tally::{Counts, Tally, Usage};
use crate::env::{Clock, SystemClock};
use crate::error::Result;
use crate::value::NumberClass;

/// The devices of a host.
#[derive(Debug)]
pub struct Devices {
    cpu: Device,
    /// What was found beside it: nothing as long as it is looked for.
    accelerator: OnceLock<Result<Accelerator, String>>,
    /// Whether nothing is to be tried any more.
    is_stopping: AtomicBool,
    clock: Arc<dyn Clock>,
    /// What the CPU and the accelerator have computed.
    by_cpu: Counts,
    by_accelerator: Counts,
}

/// A device beside the CPU, and what is placed there.
#[derive(Debug)]
struct Accelerator {
    device: Device,
    name: String,
    verdicts: HashMap<(OpKey, NumberClass), Verdict>,
    thresholds: Thresholds,
}

/// From which amount on an accelerator is faster, if it ever is: of light work, heavy work, and products of matrices.
pub type Thresholds = [Option<usize>; 3];

/// What is known of an accelerator.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status<'a> {
    /// It is being looked for, or tried.
    Looking,
    /// There is none, and why.
    Missing(&'a str),
    /// What its driver calls it, and from which amount on it is faster.
    Found(&'a str, Thresholds),
}

/// What was counted, and how many functions of a class the accelerator computes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DeviceStats {
    pub cpu: Usage,
    pub accelerator: Usage,
    /// Those of which all results were those of the CPU.
    pub exact: u64,
    /// Those that were close enough.
    pub placed: u64,
    /// Those that are left to the CPU.
    pub refused: u64,
}

/// Why something is computed where it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Why {
    /// There is nothing but the CPU.
    Alone,
    /// An accelerator is being looked for, or tried.
    Looking,
    /// No accelerator computes this.
    Unplaced,
    /// The accelerator does not compute this: the function, and what is wrong.
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
        let nothing = OnceLock::from(Err("no other device was asked for".to_string()));
        Self::new(nothing, Arc::new(SystemClock))
    }

    fn new(accelerator: OnceLock<Result<Accelerator, String>>, clock: Arc<dyn Clock>) -> Self {
        let (by_cpu, by_accelerator) = (Counts::default(), Counts::default());
        let is_stopping = AtomicBool::new(false);
        Self { cpu: Device::flex(), accelerator, is_stopping, clock, by_cpu, by_accelerator }
    }

    /// The CPU, and what is found beside it in the background. Until that was tried, everything is on the CPU.
    pub fn start(choice: DeviceChoice, clock: Arc<dyn Clock>) -> Arc<Self> {
        if choice.kinds().is_empty() {
            return Arc::new(Self::cpu_only());
        }
        let devices = Arc::new(Self::new(OnceLock::new(), clock));
        let theirs = Arc::clone(&devices);
        let thread = std::thread::Builder::new().name("devices".into()).spawn(move || theirs.look(choice));
        if let Err(error) = thread {
            tracing::warn!(%error, "no thread to look for devices");
            // Nobody else sets this.
            let _ = devices.accelerator.set(Err(error.to_string()));
        }
        devices
    }

    /// Looks for an accelerator, tries it, and uses it from then on.
    fn look(&self, choice: DeviceChoice) {
        let accelerator = match open(choice.kinds()) {
            Ok(found) => Accelerator::try_new(found, self),
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

    /// Stops looking for an accelerator, and waits until no driver is being opened or tried any more: a process that ends
    /// meanwhile may crash in the driver. That can take as long as the driver takes.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        self.accelerator.wait();
    }

    /// The CPU.
    pub fn cpu(&self) -> &Device {
        &self.cpu
    }

    /// The device that computes a function of operands of a class, and why. `work` is how many elements there are; for a product
    /// of matrices, how many multiplications.
    pub fn place(&self, op: OpKey, dtype: NumberClass, work: usize) -> (&Device, Why) {
        self.place_all([(op, dtype)], work)
    }

    /// The device that computes several functions of the same elements, without bringing them back in between: the accelerator if
    /// it computes all of them, and one is worth it. It computes nothing but such functions.
    fn place_all(&self, ops: impl IntoIterator<Item = (OpKey, NumberClass)>, work: usize) -> (&Device, Why) {
        let accelerator = match self.accelerator.get() {
            None => return (&self.cpu, Why::Looking),
            Some(Err(_)) => return (&self.cpu, Why::Alone),
            Some(Ok(accelerator)) => accelerator,
        };
        let mut best = Why::Unplaced;
        for (op, dtype) in ops {
            let why = accelerator.why(op, dtype, work);
            if let Why::Refused(_) = why {
                return (&self.cpu, why);
            }
            if best == Why::Unplaced || why.needed() > best.needed() {
                best = why;
            }
        }
        let device = if best == Why::Faster { &accelerator.device } else { &self.cpu };
        (device, best)
    }

    /// Computes a piece by functions of operands of a class, on the device that [`Devices::place`] says, and counts it.
    ///
    /// # Errors
    /// Those of `work_on`.
    pub fn compute<T>(
        &self,
        ops: impl IntoIterator<Item = (OpKey, NumberClass)>,
        work: usize,
        tally: &Tally,
        work_on: impl FnOnce(&Device) -> Result<T>,
    ) -> Result<T> {
        let (device, why) = self.place_all(ops, work);
        let counts = if why == Why::Faster { &self.by_accelerator } else { &self.by_cpu };
        let begin = self.clock.now();
        let result = work_on(device);
        counts.add(self.clock.now().saturating_duration_since(begin));
        tally.add(why);
        result
    }

    /// Where pieces were computed and why there, in words; nothing if nothing was computed.
    pub fn describe(&self, tally: &Tally) -> String {
        let counts = tally.counts().into_iter().map(|(why, pieces)| {
            let device = if why == Why::Faster { self.name() } else { "the CPU" };
            let noun = if pieces == 1 { "piece" } else { "pieces" };
            format!("{pieces} {noun} on {device} ({why})")
        });
        counts.collect::<Vec<_>>().join(", ")
    }

    fn name(&self) -> &str {
        match self.status() {
            Status::Found(name, _) => name,
            _ => "no device",
        }
    }

    /// What is known of the accelerator.
    pub fn status(&self) -> Status<'_> {
        match self.accelerator.get() {
            None => Status::Looking,
            Some(Err(reason)) => Status::Missing(reason),
            Some(Ok(accelerator)) => Status::Found(&accelerator.name, accelerator.thresholds),
        }
    }

    /// What was counted.
    pub fn stats(&self) -> DeviceStats {
        let (cpu, accelerator) = (self.by_cpu.usage(), self.by_accelerator.usage());
        let mut stats = DeviceStats { cpu, accelerator, ..DeviceStats::default() };
        if let Some(Ok(accelerator)) = self.accelerator.get() {
            for verdict in accelerator.verdicts.values() {
                match verdict {
                    Verdict::Exact => stats.exact += 1,
                    Verdict::Placed { .. } => stats.placed += 1,
                    Verdict::Refused(_) => stats.refused += 1,
                }
            }
        }
        stats
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
    fn try_new(found: Found, devices: &Devices) -> Result<Self, String> {
        let Devices { cpu, clock, is_stopping, .. } = devices;
        let (start, Found { device, name }) = (clock.now(), found);
        let mut verdicts = HashMap::new();
        for dtype in NumberClass::ALL {
            for op in OpKey::all() {
                if is_stopping.load(Ordering::Relaxed) {
                    return Err("the host stops".into());
                }
                if let Some(verdict) = probe(op, dtype, &device, cpu) {
                    verdicts.insert((op, dtype), verdict);
                }
            }
        }
        let thresholds = [Work::Light, Work::Heavy, Work::Product].map(|work| threshold(work, &device, cpu, &**clock));
        let accepted = verdicts.values().filter(|verdict| verdict.is_accepted()).count();
        let [light, heavy, product] = thresholds;
        let seconds = clock.now().saturating_duration_since(start).as_secs_f64();
        let of = verdicts.len();
        tracing::info!(device = %name, accepted, of, ?light, ?heavy, ?product, seconds, "tensors have another device");
        Ok(Self { device, name, verdicts, thresholds })
    }

    fn why(&self, op: OpKey, dtype: NumberClass, work: usize) -> Why {
        let [light, heavy, product] = self.thresholds;
        let from = match op.work() {
            Work::Light => light,
            Work::Heavy => heavy,
            Work::Product => product,
        };
        match self.verdicts.get(&(op, dtype)) {
            None => Why::Refused(format!("{op} of {dtype:?}: not tried")),
            Some(Verdict::Refused(reason)) => Why::Refused(format!("{op} of {dtype:?}: {reason}")),
            Some(_) if from.is_some_and(|from| work >= from) => Why::Faster,
            Some(_) => Why::Small { from },
        }
    }
}

impl Why {
    /// How much work there has to be for an accelerator, if there can be enough; less is greater.
    fn needed(&self) -> Option<Reverse<usize>> {
        match self {
            Why::Faster => Some(Reverse(0)),
            Why::Small { from } => from.map(Reverse),
            _ => None,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Alone => f.write_str("there is no other device"),
            Why::Looking => f.write_str("other devices are still being tried"),
            Why::Unplaced => f.write_str("no other device computes this"),
            Why::Refused(reason) => write!(f, "the other device is refused: {reason}"),
            Why::Small { from: Some(from) } => write!(f, "the other device is faster only from {from} on"),
            Why::Small { from: None } => f.write_str("the other device is never faster"),
            Why::Faster => f.write_str("faster"),
        }
    }
}

#[cfg(test)]
impl Devices {
    /// Those of a host that places all of these functions on its accelerator which that computes, however small they are.
    ///
    /// # Errors
    /// Why there is no accelerator.
    pub fn eager(choice: DeviceChoice, keys: &[(OpKey, NumberClass)]) -> Result<Self, String> {
        let (Found { device, name }, cpu) = (open(choice.kinds())?, Device::flex());
        let verdicts = keys.iter().filter_map(|(op, dtype)| Some(((*op, *dtype), probe(*op, *dtype, &device, &cpu)?)));
        let verdicts = verdicts.collect();
        let accelerator = Accelerator { device, name, verdicts, thresholds: [Some(0); 3] };
        Ok(Self::new(OnceLock::from(Ok(accelerator)), Arc::new(SystemClock)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        Devices::new(OnceLock::from(Ok(accelerator)), Arc::new(SystemClock))
    }

    #[test]
    fn what_is_large_enough_and_right_is_placed() {
        let devices = devices();
        let why = |op, dtype, work| devices.place(op, dtype, work).1;
        assert_eq!(why(ADD, NumberClass::F32, 1000), Why::Faster);
        assert_eq!(why(ADD, NumberClass::F32, 999), Why::Small { from: Some(1000) });
        assert_eq!(why(EXP, NumberClass::F32, 999), Why::Faster);
        assert_eq!(why(EXP, NumberClass::F64, 1 << 20), Why::Refused("exp of F64: computed 7e-315".into()));
        assert_eq!(why(ADD, NumberClass::U8, 1 << 20), Why::Refused("add of U8: not tried".into()));
        assert_eq!(why(OpKey::MatMul, NumberClass::F32, usize::MAX), Why::Small { from: None });
    }

    #[test]
    fn functions_together_need_all_to_be_right_and_one_to_be_worth_it() {
        let devices = devices();
        let why = |ops: &[(OpKey, NumberClass)], work| devices.place_all(ops.iter().copied(), work).1;
        let (add, exp, matmul) = ((ADD, NumberClass::F32), (EXP, NumberClass::F32), (OpKey::MatMul, NumberClass::F32));
        assert_eq!(why(&[add, exp], 100), Why::Faster);
        assert_eq!(why(&[exp, add], 100), Why::Faster);
        // What is needed is as much as is enough for one of them.
        assert_eq!(why(&[add, exp], 99), Why::Small { from: Some(100) });
        assert_eq!(why(&[exp, add], 99), Why::Small { from: Some(100) });
        assert_eq!(why(&[matmul, add], 99), Why::Small { from: Some(1000) });
        assert_eq!(why(&[add, matmul], 99), Why::Small { from: Some(1000) });
        let refused = Why::Refused("exp of F64: computed 7e-315".into());
        assert_eq!(why(&[add, (EXP, NumberClass::F64)], 5000), refused);
        assert_eq!(why(&[], 5000), Why::Unplaced);
        assert_eq!(Devices::cpu_only().place_all([], 5000).1, Why::Alone);
    }

    #[test]
    fn what_is_computed_is_counted_and_described() {
        let (devices, tally) = (devices(), Tally::default());
        for work in [5, 2000, 3000] {
            let device = devices.compute([(ADD, NumberClass::F32)], work, &tally, |device| Ok(device.clone()));
            assert_eq!(device, Ok(Device::flex()));
        }
        let failed = devices.compute([], 1, &tally, |_| Err::<(), _>(crate::error::Error::internal("lost")));
        assert!(failed.is_err());
        let stats = devices.stats();
        assert_eq!((stats.cpu.pieces, stats.accelerator.pieces), (2, 2));
        assert_eq!((stats.exact, stats.placed, stats.refused), (2, 1, 1));
        let expected = "1 piece on the CPU (the other device is faster only from 1000 on), 2 pieces on sample (faster), \
                        1 piece on the CPU (no other device computes this)";
        assert_eq!(devices.describe(&tally), expected);
        assert_eq!(devices.describe(&Tally::default()), "");
        assert_eq!(devices.status(), Status::Found("sample", [Some(1000), Some(100), None]));
        assert_eq!(Devices::cpu_only().status(), Status::Missing("no other device was asked for"));
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
        let devices = Devices::new(OnceLock::new(), Arc::new(SystemClock));
        assert_eq!((devices.place(ADD, NumberClass::F32, 1).1, devices.status()), (Why::Looking, Status::Looking));
        devices.look(DeviceChoice::Cpu);
        assert_eq!(devices.place(ADD, NumberClass::F32, 1).1, Why::Alone);
    }
}
