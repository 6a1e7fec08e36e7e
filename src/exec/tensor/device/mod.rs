//! Where tensors are computed.
//!
//! The CPU is always there, and is the reference. An accelerator, which is a GPU as a rule, is looked for in the background when a
//! host starts ([`open`]). What such a device computes is believed only as far as it was seen to be right: each function of each
//! class is run on it with a few dozen elements and compared with the CPU ([`probe`]). What agrees is placed there from the size on
//! from which that takes less time ([`measure`]), what differs never ([`Devices::place`]). What each device computes is counted
//! ([`tally`]), for the measurements of the host and for EXPLAIN.

mod choice;
mod measure;
mod op;
mod open;
mod placement;
mod probe;
mod tally;
mod values;

pub use choice::DeviceChoice;
pub use op::OpKey;
pub use placement::{DeviceStats, Devices, Row, Status, Thresholds, Why};
pub use probe::Verdict;
pub use tally::{Tally, Usage};
#[cfg(test)]
pub use values::{is_exact, numbers};
