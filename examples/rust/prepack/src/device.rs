//! The devices that sessions can be created on.
use crate::error::{call, Result};
use crate::macros::array_text;
use crate::sys;

/// A device.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// What [`crate::SessionParams::device`] takes: "cpu", "cuda:0".
    pub device: String,
    /// Of the maker; empty where nobody says.
    pub device_name: String,
    /// The kernels that would run.
    pub kernels: String,
    /// Of a GPU, else empty.
    pub pci_address: String,
    /// Processors that this process may use; multiprocessors of a GPU.
    pub n_units: usize,
    /// 0: not known.
    pub memory_bytes: i64,
    /// Free now; 0: not known.
    pub available_bytes: i64,
}

/// The devices that this machine has, the CPU first.
pub fn devices() -> Result<Vec<DeviceInfo>> {
    let n = unsafe { sys::pp_device_count() };
    (0..n)
        .map(|i| {
            let mut info = sized!(sys::pp_device_info);
            call(|err| unsafe { sys::pp_device_get(i, &mut info, err) })?;
            Ok(DeviceInfo {
                device: array_text(&info.device),
                device_name: array_text(&info.device_name),
                kernels: array_text(&info.kernels),
                pci_address: array_text(&info.pci_address),
                n_units: info.n_units.max(0) as usize,
                memory_bytes: info.memory_bytes,
                available_bytes: info.available_bytes,
            })
        })
        .collect()
}
