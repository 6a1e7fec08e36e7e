//! Which devices a host may use.

use std::fmt;
use std::str::FromStr;

use burn::tensor::DeviceKind;

use crate::error::{Error, Result};

/// Which devices a host may use beside the CPU.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum DeviceChoice {
    /// A GPU, if there is one.
    #[default]
    Auto,
    /// None.
    Cpu,
    /// A GPU, also one that a virtual machine is given; that there is none is worth a warning.
    Gpu,
    /// A driver that computes on the CPU what a GPU would: slower, but the same code.
    Software,
}

impl DeviceChoice {
    const ALL: [(DeviceChoice, &'static str); 4] = [
        (DeviceChoice::Auto, "auto"),
        (DeviceChoice::Cpu, "cpu"),
        (DeviceChoice::Gpu, "gpu"),
        (DeviceChoice::Software, "software"),
    ];

    /// The kinds of devices to look for; the first that is there is taken.
    pub(super) fn kinds(self) -> &'static [DeviceKind] {
        match self {
            DeviceChoice::Auto => &[DeviceKind::DiscreteGpu(0), DeviceKind::IntegratedGpu(0)],
            DeviceChoice::Cpu => &[],
            DeviceChoice::Gpu => &[DeviceKind::DiscreteGpu(0), DeviceKind::IntegratedGpu(0), DeviceKind::VirtualGpu(0)],
            DeviceChoice::Software => &[DeviceKind::Cpu],
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|(_, name)| *name == text);
        found.map(|(choice, _)| choice).ok_or_else(|| {
            Error::bad_request(format!("{text} is no choice of devices: expected auto, cpu, gpu or software"))
        })
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.into_iter().find(|(choice, _)| choice == self).map_or("auto", |(_, name)| name);
        f.write_str(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_written_as_they_are_read() {
        for (choice, name) in DeviceChoice::ALL {
            assert_eq!(name.parse::<DeviceChoice>(), Ok(choice));
            assert_eq!(choice.to_string(), name);
        }
        let error = "tpu".parse::<DeviceChoice>().unwrap_err();
        assert_eq!(error.message(), "tpu is no choice of devices: expected auto, cpu, gpu or software");
    }

    #[test]
    fn software_is_taken_only_if_it_is_named() {
        assert!(!DeviceChoice::Auto.kinds().contains(&DeviceKind::Cpu));
        assert!(!DeviceChoice::Gpu.kinds().contains(&DeviceKind::Cpu));
        assert!(DeviceChoice::Cpu.kinds().is_empty());
    }
}
