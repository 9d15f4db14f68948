//! Gradient magnitudes, wavelets and chromaticity.
