//! Losses on the similarity of hand-made features: gradients, phase, wavelets, saliency.

mod gradient_magnitude;
