//! Ctrl-C, and the signal with which schedulers end jobs.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::Arc;

use anyhow::Result;

use super::progress::Progress;

/// Whether the run was asked to stop.
///
/// On systems that are no Unix, Ctrl-C ends the program at once; it goes on from its last checkpoint.
#[derive(Debug, Default)]
pub struct Interrupt {
    /// The signal that came, or 0.
    signal: Arc<AtomicI32>,
}

impl Interrupt {
    /// From now on the first SIGINT or SIGTERM is noted, and only the second ends the program.
    #[cfg(unix)]
    pub fn listen(progress: &Progress) -> Result<Interrupt> {
        use anyhow::Context;
        use signal_hook::consts::{SIGINT, SIGTERM};
        use signal_hook::iterator::Signals;

        let interrupt = Interrupt::default();
        let (noted, progress) = (Arc::clone(&interrupt.signal), progress.clone());
        let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot listen for Ctrl-C")?;
        std::thread::spawn(move || {
            for signal in signals.forever() {
                if noted.swap(signal, Ordering::Relaxed) != 0 {
                    // Not std's: it would tear libtorch down while it computes.
                    signal_hook::low_level::exit(exit_code(signal).into());
                }
                progress.note(
                    "stopping when this step is done; a second time stops at once, without a checkpoint",
                );
            }
        });
        Ok(interrupt)
    }

    #[cfg(not(unix))]
    pub fn listen(_: &Progress) -> Result<Interrupt> {
        Ok(Interrupt::default())
    }

    /// The exit code that tells of the signal, if one came.
    pub fn came(&self) -> Option<u8> {
        match self.signal.load(Ordering::Relaxed) {
            0 => None,
            signal => Some(exit_code(signal)),
        }
    }
}

/// As shells have it.
fn exit_code(signal: i32) -> u8 {
    128 + signal as u8
}
