//! Images read a few rows at a time.

use std::fmt::Debug;

use tch::{Device, Kind, Tensor};

use crate::base::check;
use crate::base::gradient::pieces;
use crate::{Error, Result};

/// An image of a [`ContactSheet`](super::ContactSheet): a [`Tensor`], or something that hands out a few rows
/// at a time as tensors, because the whole image would take too much memory as one.
pub trait ImageRows: Debug {
    /// The shape `[N, C, H, W]`.
    ///
    /// # Errors
    /// Something that is no image. The error calls it `argument`.
    fn shape(&self, argument: &'static str) -> Result<[i64; 4]>;

    /// The `count` rows from `start` on, `[N, C, count, W]`, in any floating kind and on any device.
    ///
    /// # Errors
    /// Rows that cannot be read.
    fn rows(&self, start: i64, count: i64) -> Result<Tensor>;
}

impl ImageRows for Tensor {
    fn shape(&self, argument: &'static str) -> Result<[i64; 4]> {
        check::image(argument, self)?;
        Ok(self.size().try_into().expect("an image has four dimensions"))
    }

    fn rows(&self, start: i64, count: i64) -> Result<Tensor> {
        Ok(self.f_detach()?.f_narrow(2, start, count)?)
    }
}

/// One plane or image that was found to be drawable.
#[derive(Clone, Copy)]
pub(super) struct Image<'a> {
    rows: &'a dyn ImageRows,
    pub(super) channels: i64,
    pub(super) height: i64,
    pub(super) width: i64,
}

impl<'a> Image<'a> {
    /// Accepts `[1, C, H, W]` with one of the channel counts of `channels`, and only the height and width of
    /// `like`, if given.
    pub(super) fn single(
        argument: &'static str,
        rows: &'a dyn ImageRows,
        channels: &[i64],
        like: Option<Image>,
    ) -> Result<Image<'a>> {
        let given = rows.shape(argument)?;
        let [count, given_channels, height, width] = given;
        let image = Image { rows, channels: given_channels, height, width };
        let has_size = like.is_none_or(|like| (like.height, like.width) == (height, width));
        if count == 1 && channels.contains(&given_channels) && has_size {
            return Ok(image);
        }
        let shapes = channels.iter().map(|channels| match like {
            Some(like) => format!("[1, {channels}, {}, {}]", like.height, like.width),
            None => format!("[1, {channels}, H, W]"),
        });
        let expected = shapes.collect::<Vec<_>>().join(" or ");
        Err(Error::Shape { argument, given: given.into(), expected })
    }

    /// Some rows, `[1, C, count, W]`, as f64 on the CPU, whatever the image was.
    pub(super) fn rows(&self, start: i64, count: i64) -> Result<Tensor> {
        let rows = self.rows.rows(start, count)?;
        Ok(rows.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?.f_contiguous()?)
    }

    /// All rows, from the first on, in portions of a few hundred kilobytes.
    pub(super) fn portions(self) -> impl Iterator<Item = Result<Tensor>> + 'a {
        let most = ((1 << 15) / self.width).max(1);
        pieces(self.height, most).map(move |(start, count)| self.rows(start, count))
    }
}
