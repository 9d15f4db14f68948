//! Losses on structure: means, variances and covariances in windows.
