//! Phase congruency and saliency.
