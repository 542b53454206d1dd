//! Whether this machine has a CUDA driver and a device, without linking to it.

use std::ffi::c_int;

/// The CUDA version that a driver must support at least, as the driver says it: 13.0.
const NEEDED: c_int = 13_000;

/// How many CUDA devices there are, none without a driver; or why the driver that is there cannot be used.
pub fn cuda_devices() -> Result<Option<usize>, String> {
    type Init = unsafe extern "C" fn(u32) -> c_int;
    type Count = unsafe extern "C" fn(*mut c_int) -> c_int;
    // SAFETY: loading the driver's library runs its initialisers, as every program that uses CUDA does; it is never unloaded. The three
    // functions have these types in cuda.h.
    unsafe {
        let library = match libloading::Library::new("libcuda.so.1") {
            Ok(library) => &*Box::leak(Box::new(library)),
            Err(_) => return Ok(None),
        };
        let broken = |_| "libcuda.so.1 is not NVIDIA's driver".to_string();
        let init = library.get::<Init>(b"cuInit\0").map_err(broken)?;
        let version = library
            .get::<Count>(b"cuDriverGetVersion\0")
            .map_err(broken)?;
        let count = library
            .get::<Count>(b"cuDeviceGetCount\0")
            .map_err(broken)?;
        let mut n = 0;
        if version(&mut n) == 0 && n < NEEDED {
            return Err(format!(
                "the NVIDIA driver is for CUDA {}.{}, and 13.0 is needed: install driver 580 or newer",
                n / 1000,
                n % 1000 / 10
            ));
        }
        // 100 is CUDA_ERROR_NO_DEVICE.
        match init(0) {
            0 => {}
            100 => return Ok(Some(0)),
            code => return Err(format!("the NVIDIA driver does not start (error {code})")),
        }
        match count(&mut n) {
            0 => Ok(Some(usize::try_from(n).unwrap_or(0))),
            code => Err(format!(
                "the NVIDIA driver counts no devices (error {code})"
            )),
        }
    }
}
