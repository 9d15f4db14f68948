//! What the trainers beside this folder have in common.

pub mod adam;
pub mod chance;
pub mod checkpoint;
pub mod comparison;
pub mod course;
pub mod crops;
pub mod curves;
pub mod folder;
pub mod interrupt;
pub mod networks;
pub mod options;
pub mod photos;
pub mod pictures;
pub mod program;
pub mod progress;
pub mod run;
pub mod training;
