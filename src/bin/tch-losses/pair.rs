//! The losses of a pair of pictures, strip by strip where they are large.

use tch::{Device, Kind, Tensor};
use tch_losses::visual::ImageRows;
use tch_losses::{LossMap, Result};

use crate::picture::Picture;

/// Pictures of more pixels are compared in strips of about as many: in f32, such a strip and what losses make of it
/// take some 100 MB. Those of full HD, 1920 x 1080, are compared as a whole.
const PIXELS_AT_ONCE: i64 = 1 << 21;

/// What a row of a loss's map depends on.
#[derive(Clone, Copy)]
pub enum Reach {
    /// This row of the pictures and so many on either side.
    Rows(i64),
    /// The whole pictures.
    All,
}

/// Two pictures of one size.
pub struct Pair {
    pub fake: Picture,
    pub real: Picture,
    device: Device,
    pixels_at_once: i64,
}

/// Some rows of a pair, with those on either side that a loss looks at.
struct Strip {
    start: i64,
    count: i64,
    /// The rows that are read, from there on.
    read: i64,
    read_count: i64,
}

impl Pair {
    pub fn new(fake: Picture, real: Picture, device: Device) -> Pair {
        Pair { fake, real, device, pixels_at_once: PIXELS_AT_ONCE }
    }

    /// The loss: of the whole pictures, or the mean of the map, which is the same to rounding.
    pub fn value(&self, loss: &dyn LossMap, reach: Reach) -> Result<f64> {
        let strips = self.strips(reach);
        if let [whole] = &strips[..] {
            let (fake, real) = (self.read(&self.fake, whole)?, self.read(&self.real, whole)?);
            return Ok(loss.try_forward(&fake, &real)?.f_double_value(&[])?);
        }
        let mut sum = 0.0;
        for strip in &strips {
            let map = strip.inner(&self.map_of(loss, strip)?)?;
            sum += map.f_sum(Kind::Double)?.f_double_value(&[])?;
        }
        let (width, height) = self.fake.size();
        // In f32, as whole pictures have it.
        Ok(f64::from((sum / (width * height) as f64) as f32))
    }

    /// Where the loss comes from, `[1, 1, H, W]`.
    pub fn map(&self, loss: &dyn LossMap, reach: Reach) -> Result<Tensor> {
        let map = self.joined(reach, |strip| Ok(Some(self.map_of(loss, strip)?)))?;
        Ok(map.expect("there are rows"))
    }

    /// What the loss sees of either, if that is not the pictures themselves.
    pub fn responses(&self, loss: &dyn LossMap, reach: Reach) -> Result<Option<(Tensor, Tensor)>> {
        let response = |picture| self.joined(reach, |strip| loss.response(&self.read(picture, strip)?));
        Ok(response(&self.fake)?.zip(response(&self.real)?))
    }

    fn map_of(&self, loss: &dyn LossMap, strip: &Strip) -> Result<Tensor> {
        loss.loss_map(&self.read(&self.fake, strip)?, &self.read(&self.real, strip)?)
    }

    fn read(&self, picture: &Picture, strip: &Strip) -> Result<Tensor> {
        Ok(picture.rows(strip.read, strip.read_count)?.f_to_device(self.device)?)
    }

    fn strips(&self, reach: Reach) -> Vec<Strip> {
        let (width, height) = self.fake.size();
        let (most, reach) = match reach {
            Reach::Rows(reach) => ((self.pixels_at_once / width).max(1), reach),
            Reach::All => (height, 0),
        };
        let strip = |start: i64| {
            let end = height.min(start + most);
            let (read, read_end) = ((start - reach).max(0), height.min(end + reach));
            Strip { start, count: end - start, read, read_count: read_end - read }
        };
        (0..height).step_by(most as usize).map(strip).collect()
    }

    /// The plane that `part` makes of each strip, put together on the CPU.
    fn joined(
        &self,
        reach: Reach,
        part: impl Fn(&Strip) -> Result<Option<Tensor>>,
    ) -> Result<Option<Tensor>> {
        let (width, height) = self.fake.size();
        let mut whole = None;
        for strip in self.strips(reach) {
            let Some(part) = part(&strip)? else { return Ok(None) };
            let part = strip.inner(&part)?;
            let whole = match &mut whole {
                Some(whole) => whole,
                None => whole.insert(Tensor::f_empty([1, 1, height, width], (part.kind(), Device::Cpu))?),
            };
            whole.f_narrow(2, strip.start, strip.count)?.f_copy_(&part)?;
        }
        Ok(whole)
    }
}

impl Strip {
    /// The strip's own rows of what was made of all that were read.
    fn inner(&self, plane: &Tensor) -> Result<Tensor> {
        Ok(plane.f_narrow(2, self.start - self.read, self.count)?)
    }
}
