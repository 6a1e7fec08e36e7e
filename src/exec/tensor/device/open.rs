//! Finding and opening an accelerator.
//!
//! Drivers are not ours: they may fail, panic or hang. So this runs on a thread that nobody waits for, and what panics is an
//! error.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::{Device, DeviceKind};
use parking_lot::Mutex;

use crate::error::{Error, Result};

/// An accelerator, and what its driver calls it.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub device: Device,
    pub name: String,
}

/// What became of each kind that was asked for. A kind is opened once in a process: burn keeps it, and refuses to open it again.
static OPENED: Mutex<Vec<(DeviceKind, Result<Found, String>)>> = Mutex::new(Vec::new());

/// The first of these kinds of devices that is there; if none is, why not.
pub(super) fn open(kinds: &[DeviceKind]) -> Result<Found, String> {
    let mut reasons = Vec::new();
    for kind in kinds {
        match open_once(kind) {
            Ok(found) => return Ok(found),
            Err(reason) => reasons.push(reason),
        }
    }
    Err(reasons.join("; "))
}

fn open_once(kind: &DeviceKind) -> Result<Found, String> {
    // Whoever else wants a device waits: two at once would both open it.
    let mut opened = OPENED.lock();
    if let Some((_, result)) = opened.iter().find(|(other, _)| other == kind) {
        return result.clone();
    }
    let result = open_now(kind);
    opened.push((kind.clone(), result.clone()));
    result
}

fn open_now(kind: &DeviceKind) -> Result<Found, String> {
    let options = Device::wgpu_options().device_kind(kind.clone());
    match catch_unwind(AssertUnwindSafe(|| options.init_with_setup())) {
        Ok(Ok((device, setup))) => {
            let info = setup.adapter.get_info();
            Ok(Found { device, name: format!("{} ({:?})", info.name, info.backend) })
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(panic) => Err(message(&*panic)),
    }
}

/// Does work on a device. A panic, for want of memory or because a driver failed, is an error.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(Error::internal(message(&*panic))))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    // Messages of drivers may be long, and the first line says what is wrong.
    text.and_then(|text| text.lines().next()).unwrap_or("a driver panicked").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn panics_are_errors() {
        let error = guarded::<()>(|| panic!("out of memory\nat 7")).unwrap_err();
        assert_eq!((error.kind(), error.message()), (Kind::Internal, "out of memory"));
        assert_eq!(guarded(|| Ok(1)), Ok(1));
    }

    #[test]
    fn nothing_is_found_where_nothing_is_looked_for() {
        assert_eq!(open(&[]).unwrap_err(), "");
    }
}
