//! The losses on spectra.
