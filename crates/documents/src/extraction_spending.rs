//! What the reading of a document cost.
//!
//! A child says so itself, with its answer: its own processor clock, and the high-water mark of its resident memory. What
//! waiting for it would tell (`ru_maxrss`) is at least what the process that started it had: Linux keeps the larger one
//! over `exec`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a child spent, from its start to its answer. How it ends is not in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtractionSpending {
    /// Its processor time, in microseconds.
    pub processor_us: u64,
    /// The most memory it had resident, in bytes, its program included; none where the system does not say.
    pub peak_resident_bytes: Option<u64>,
}

/// The processor time of this process so far; none where the system does not say.
pub fn processor_time() -> Option<Duration> {
    #[cfg(unix)]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
    }
    #[cfg(not(unix))]
    {
        None
    }
}

/// Watches what this process spends.
pub(crate) struct SpendingMeter {
    /// Opened at once: later no file may be.
    #[cfg(target_os = "linux")]
    status: Option<std::fs::File>,
}

impl SpendingMeter {
    /// To be made before the limits of a child are set.
    pub(crate) fn new() -> Self {
        Self {
            #[cfg(target_os = "linux")]
            status: std::fs::File::open("/proc/self/status").ok(),
        }
    }

    /// What was spent so far.
    pub(crate) fn spent(self) -> ExtractionSpending {
        let processor_us = processor_time().map_or(0, |time| time.as_micros().try_into().unwrap_or(u64::MAX));
        ExtractionSpending { processor_us, peak_resident_bytes: self.peak_resident_bytes() }
    }

    #[cfg(target_os = "linux")]
    fn peak_resident_bytes(self) -> Option<u64> {
        use std::io::Read;
        let mut text = String::new();
        self.status?.read_to_string(&mut text).ok()?;
        let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(mark.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    }

    #[cfg(not(target_os = "linux"))]
    fn peak_resident_bytes(self) -> Option<u64> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::{SpendingMeter, processor_time};

    #[test]
    fn a_process_knows_what_it_spent() {
        let meter = SpendingMeter::new();
        let filled = vec![1_u8; 64 << 20];
        let sum: u64 = filled.iter().map(|&byte| u64::from(byte)).sum();
        assert_eq!(sum, 64 << 20);
        let spent = meter.spent();
        assert!(spent.peak_resident_bytes.is_some_and(|bytes| bytes > 64 << 20), "{spent:?}");
        assert!(spent.processor_us > 0);
        assert!(processor_time().is_some());
    }
}
