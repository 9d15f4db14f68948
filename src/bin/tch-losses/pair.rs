//! The losses of a pair of pictures, strip by strip where they are large.

use tch::{Device, Kind, Tensor};
use tch_losses::visual::ImageRows;
use tch_losses::{Loss, Result};

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
    pub fn value(&self, loss: &dyn Loss, reach: Reach) -> Result<f64> {
        let strips = self.strips(reach);
        if let [whole] = &strips[..] {
            let (fake, real) = (self.read(&self.fake, whole)?, self.read(&self.real, whole)?);
            // A loss that is not reduced has many values.
            return Ok(loss.try_forward(&fake, &real)?.f_mean(Kind::Double)?.f_double_value(&[])?);
        }
        let mut sum = 0.0;
        for strip in &strips {
            let map = self.map_of(loss, strip)?.expect("losses with a known reach have maps");
            let map = strip.inner(&map)?;
            sum += map.f_sum(Kind::Double)?.f_double_value(&[])?;
        }
        let (width, height) = self.fake.size();
        // In f32, as whole pictures have it.
        Ok(f64::from((sum / (width * height) as f64) as f32))
    }

    /// Where the loss comes from, `[1, 1, H, W]`, if it has a map.
    pub fn map(&self, loss: &dyn Loss, reach: Reach) -> Result<Option<Tensor>> {
        self.joined(reach, |strip| self.map_of(loss, strip))
    }

    /// What the loss sees of either, if that is not the pictures themselves.
    pub fn responses(&self, loss: &dyn Loss, reach: Reach) -> Result<Option<(Tensor, Tensor)>> {
        let response = |picture| self.joined(reach, |strip| loss.response(&self.read(picture, strip)?));
        Ok(response(&self.fake)?.zip(response(&self.real)?))
    }

    fn map_of(&self, loss: &dyn Loss, strip: &Strip) -> Result<Option<Tensor>> {
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::path::Path;

    use tch_losses::{L1Loss, Laplacian, Loss, MseLoss, Sobel};

    use super::*;
    use crate::picture::{self, Limit};

    const WIDTH: i64 = 23;
    const HEIGHT: i64 = 19;

    /// So many rows at a time.
    fn pair(rows: i64) -> Pair {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cli");
        let load = |name| picture::load(&folder.join(name), (-1.0, 1.0), Limit::Fixed(1 << 20)).unwrap();
        Pair { pixels_at_once: rows * WIDTH, ..Pair::new(load("rgb16.png"), load("real.png"), Device::Cpu) }
    }

    /// Of a map: some 20 roundings of numbers below 16, each by 6e-8 of the number at most, may turn out differently.
    /// The mean, which is below 1, has as much again for its sum of 437 values. A row that is missing at the edge
    /// of a strip changes a map in the first digit, and its mean in the second.
    const TOLERANCE: f64 = 2e-5;

    fn assert_close(what: &str, found: &Tensor, expected: &Tensor) {
        assert_eq!(found.size(), [1, 1, HEIGHT, WIDTH], "{what}");
        let off = (found - expected).abs().max().double_value(&[]);
        assert!(off <= TOLERANCE, "{what}: {off}");
    }

    #[test]
    fn strips_make_what_whole_pictures_make() {
        let whole = pair(HEIGHT);
        let losses: [(&dyn Loss, i64); 4] = [
            (&L1Loss::default(), 0),
            (&MseLoss::default(), 0),
            (&Sobel::default(), 1),
            (&Laplacian::default(), 1),
        ];
        for (loss, reach) in losses {
            let value = whole.value(loss, Reach::All).unwrap();
            for rows in [1, 2, 7, 18, 19, 40] {
                let (strips, reach, what) =
                    (pair(rows), Reach::Rows(reach), format!("{loss:?} by {rows} rows"));
                let found = strips.value(loss, reach).unwrap();
                assert!((found - value).abs() <= 2.0 * TOLERANCE, "{what}: {found}, as a whole {value}");
                let map = |pair: &Pair, reach| pair.map(loss, reach).unwrap().unwrap();
                assert_close(&what, &map(&strips, reach), &map(&whole, Reach::All));
                let responses = |pair: &Pair, reach| pair.responses(loss, reach).unwrap();
                match (responses(&strips, reach), responses(&whole, Reach::All)) {
                    (Some((fake, real)), Some((whole_fake, whole_real))) => {
                        assert_close(&what, &fake, &whole_fake);
                        assert_close(&what, &real, &whole_real);
                    }
                    (None, None) => {}
                    _ => panic!("{what}: a response of one kind"),
                }
            }
        }
    }

    /// Notes how many rows it is given at the most.
    #[derive(Debug, Default)]
    struct Heights(Cell<i64>);

    impl Loss for Heights {
        fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
            Ok(self.loss_map(input, target)?.unwrap().f_mean(Kind::Float)?)
        }

        fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
            self.0.set(self.0.get().max(input.size()[2]));
            L1Loss::default().loss_map(input, target)
        }
    }

    #[test]
    fn large_pictures_are_never_whole() {
        for (reach, expected) in [(Reach::Rows(0), 4), (Reach::Rows(2), 8), (Reach::All, HEIGHT)] {
            let (pair, loss) = (pair(4), Heights::default());
            pair.value(&loss, reach).unwrap();
            let _ = pair.map(&loss, reach).unwrap();
            assert_eq!(loss.0.get(), expected);
        }
    }
}
