//! Where a run computes: the CPU, or a CUDA device.

use candle_core::Device;

use crate::{Error, Result};

/// Whether `TLKIT_CPU` says something that can be understood: the best instructions of this machine would be other bits than those asked for.
///
/// # Errors
/// In words, with what it may say.
pub fn instructions() -> std::result::Result<(), String> {
    tlkit_ops::Path::from_environment().map(|_| ())
}

/// Bytes that a device needs free to be opened, with room to spare: its context and cuBLAS's own memory.
const TO_START: u64 = 1 << 30;

/// What a recipe's `train.device` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The first CUDA device where there is one, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device of this number.
    Cuda(usize),
}

impl Place {
    /// By name: `auto`, `cpu`, `cuda`, `cuda:1`.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "auto" => Some(Place::Auto),
            "cpu" => Some(Place::Cpu),
            "cuda" => Some(Place::Cuda(0)),
            _ => name
                .strip_prefix("cuda:")
                .filter(|n| n.bytes().all(|b| b.is_ascii_digit()))
                .and_then(|n| n.parse().ok())
                .map(Place::Cuda),
        }
    }

    /// The device. An error says what is missing; `auto` has none for lack of a GPU.
    pub fn open(self) -> Result<Device> {
        let there = tlkit_ops::gpu::available();
        match self {
            Place::Cpu => Ok(Device::Cpu),
            Place::Auto if there == 0 => Ok(Device::Cpu),
            Place::Auto => Self::cuda(0),
            Place::Cuda(n) if n < there => Self::cuda(n),
            Place::Cuda(n) => Err(Error::msg(no_device(n, there))),
        }
    }

    fn cuda(n: usize) -> Result<Device> {
        tlkit_ops::gpu::open(n).map_err(|e| {
            let words = e.to_string();
            Error::msg(unopened(n, &words, tlkit_ops::gpu::free(n)))
        })
    }
}

/// That device `n` is not one of those that are there.
pub fn no_device(n: usize, there: usize) -> String {
    match there {
        0 => "there is no CUDA device: `train.device = \"cpu\"` runs without one".to_string(),
        1 => format!("there is no device `cuda:{n}`: there is one, `cuda:0`"),
        _ => format!(
            "there is no device `cuda:{n}`: there are `cuda:0` to `cuda:{}`",
            there - 1
        ),
    }
}

/// Why device `n` does not open, by the error's words and the bytes that are free there.
fn unopened(n: usize, words: &str, free: Option<u64>) -> String {
    let words = words.lines().next().unwrap_or_default();
    // cuBLAS, which is opened last, says this of whatever keeps it from its memory, a driver of another version among it.
    let cublas = words.contains("CUBLAS_STATUS_NOT_INITIALIZED");
    let full = free.is_some_and(|bytes| bytes < TO_START);
    match tlkit_ops::gpu::is_out_of_memory(words) || cublas && full {
        true => format!(
            "device `cuda:{n}` has no memory left to start with: another program holds it (`nvidia-smi` shows which)"
        ),
        false if cublas => format!(
            "device `cuda:{n}` does not open: {words}; does the driver support CUDA 13 (580 or newer)?"
        ),
        false => format!("device `cuda:{n}` does not open: {words}"),
    }
}

/// As results and reports name a device.
pub fn name_of(device: &Device) -> String {
    match device.location() {
        candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        _ => "cpu".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_by_name_and_nothing_else_is_one() {
        assert_eq!(Place::named("cuda"), Some(Place::Cuda(0)));
        assert_eq!(Place::named("cuda:3"), Some(Place::Cuda(3)));
        assert_eq!(Place::named("auto"), Some(Place::Auto));
        for wrong in ["", "gpu", "cuda:", "cuda:+1", "cuda:x", "CUDA", "cuda:1:2"] {
            assert_eq!(Place::named(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_device_that_does_not_open_is_full_only_where_its_memory_is() {
        let cublas = "cuda error CUBLAS_STATUS_NOT_INITIALIZED\n  backtrace";
        let full = "has no memory left to start with";
        assert!(unopened(0, cublas, Some(100 << 20)).contains(full));
        assert!(unopened(0, "CUDA_ERROR_OUT_OF_MEMORY", None).contains(full));
        for free in [None, Some(100 << 30)] {
            let said = unopened(0, cublas, free);
            assert!(
                said.ends_with("NOT_INITIALIZED; does the driver support CUDA 13 (580 or newer)?"),
                "{said}"
            );
        }
        let other = unopened(1, "CUDA_ERROR_UNKNOWN", Some(0));
        assert_eq!(other, "device `cuda:1` does not open: CUDA_ERROR_UNKNOWN");
    }

    #[test]
    fn a_machine_without_a_gpu_computes_on_its_cpu_unless_it_is_told_not_to() {
        if tlkit_ops::gpu::available() > 0 {
            println!("skipped: this machine has a GPU");
            return;
        }
        assert!(Place::Auto.open().unwrap().is_cpu());
        let error = Place::Cuda(1).open().unwrap_err().to_string();
        assert!(error.contains("no CUDA device"), "{error}");
    }
}
