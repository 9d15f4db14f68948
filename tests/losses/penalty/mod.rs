//! Penalties on derivatives.

mod path_length;
