//! Pictures of what a loss sees. Needs the feature `image`.
//!
//! | for | see |
//! |---|---|
//! | where in a picture a loss comes from | [`heat_map`], [`ContactSheet`]; of many losses: [`TileSheet`] |
//! | the same during a training | [`SheetWriter`] |
//! | the losses of a training | [`LossCurves`] |
//! | which loss sees what, and whose gradients agree | [`Atlas`] |
//! | what a loss alone restores | [`descend`] |
//!
//! ![The losses of a training run over its steps][picture-curves]
//!
//! Pictures are [`RgbImage`](image::RgbImage)s of the [`image`] crate, re-exported here in the version that
//! this crate uses; saving them is its business.
//!
//! ```
//! use tch::{Device, Kind, Tensor};
//! use tch_losses::visual::ContactSheet;
//! use tch_losses::{Loss, Sobel};
//!
//! let fake = Tensor::rand([1, 3, 64, 64], (Kind::Float, Device::Cpu)) * 2.0 - 1.0;
//! let real = Tensor::rand([1, 3, 64, 64], (Kind::Float, Device::Cpu)) * 2.0 - 1.0;
//! let sobel = Sobel::default();
//! let sheet = ContactSheet {
//!     name: "Sobel",
//!     value: sobel.try_forward(&fake, &real)?.double_value(&[]),
//!     fake: &fake,
//!     real: &real,
//!     range: (-1.0, 1.0),
//!     responses: sobel.response(&fake)?.zip(sobel.response(&real)?),
//!     map: sobel.loss_map(&fake, &real)?.expect("Sobel has a map"),
//! };
//! let picture = sheet.render()?;
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("sobel.png");
//! picture.save(path)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![doc = include_str!("../pictures/curves.md")]

mod atlas;
mod board;
mod curves;
mod descent;
mod heat;
mod numbers;
mod pixels;
mod rows;
mod save;
mod scale;
mod sheet;
mod sheets;
mod text;
mod tiles;

pub use atlas::{Answers, Atlas, Distortion, LossAnswers, Point, Subject};
pub use curves::{CurveScale, LossCurves};
pub use descent::descend;
pub use heat::{heat_map, NOT_FINITE};
pub use image;
pub use rows::ImageRows;
pub use save::save_png;
pub use sheet::ContactSheet;
pub use sheets::{file_name, file_names, SheetWriter};
pub use tiles::{Tile, TileSheet};
