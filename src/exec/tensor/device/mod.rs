//! Where tensors are computed.
//!
//! The CPU is always there, and is the reference. An accelerator, which is a GPU as a rule, is looked for in the background when a
//! host starts ([`open`]). What such a device computes is believed only as far as it was seen to be right: each function of each
//! class is run on it with a few dozen elements and compared with the CPU ([`probe`]). What agrees is placed there from the size on
//! from which that takes less time ([`measure`]), what differs never ([`Devices::place`]).

mod choice;
mod measure;
mod op;
mod open;
mod placement;
mod probe;
mod values;

pub use choice::DeviceChoice;
pub use op::OpKey;
pub use placement::{Devices, Row, Why};
pub use probe::Verdict;
#[cfg(test)]
pub use values::{is_exact, numbers};
