//! Losses on spectra.
