//! Contact sheets during a training.

use std::collections::HashSet;
use std::path::PathBuf;

use tch::{no_grad, Kind, Tensor};

use super::{save_png, ContactSheet};
use crate::base::check;
use crate::manager::LossManager;
use crate::{printable, Error, Loss, Result};

/// How the name of a picture ends.
const ENDING: &str = ".png";

/// Writes the [`ContactSheet`] of every image loss of a training, each time that some steps have gone by.
///
/// - **Files**: `<folder>/step-000500/G_SOBEL.png` for the loss `G_SOBEL` in step 500; [`file_names`] tells what
///   becomes of what a file name cannot have. Each is there as a whole or not at all, and replaces the one that may be there.
/// - **Values**: of the first image of the batch, without its weight.
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tch_losses::manager::{LossManager, Term};
/// use tch_losses::visual::SheetWriter;
/// use tch_losses::Sobel;
///
/// let mut manager = LossManager::new();
/// manager.register("G_SOBEL", Term::new(Sobel::default()).weight(10.0).tags(["G", "image"]))?;
/// # let directory = tempfile::tempdir().unwrap();
/// # let folder = directory.path().join("sheets");
/// let sheets = SheetWriter { folder: folder.clone(), every: 2, range: (-1.0, 1.0) };
/// # let real = Tensor::zeros([4, 3, 16, 16], (Kind::Float, Device::Cpu));
/// # let fake = Tensor::rand([4, 3, 16, 16], (Kind::Float, Device::Cpu));
/// for step in 0..4 {
///     // ...
///     sheets.write(&manager, &["image"], step, &fake, &real)?;
/// }
/// assert!(folder.join("step-000002/G_SOBEL.png").exists());
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SheetWriter {
    /// Where the folders of the steps are to be.
    pub folder: PathBuf,
    /// From one time to the next, in steps.
    pub every: u64,
    /// The values of the images that mean black and white, `(-1.0, 1.0)` or `(0.0, 1.0)`.
    pub range: (f64, f64),
}

impl SheetWriter {
    /// If `step` is a multiple of `every`, writes the sheets of the image losses of `manager` that have any
    /// of `tags`. Otherwise it does nothing.
    ///
    /// Choose tags of losses that compare these images, as `image` in a [`pix2pix`](crate::manager::pix2pix)
    /// objective: one that is computed from a discriminator's predictions would be drawn, too, and mean
    /// nothing. `fake` and `real` are image batches `[N, C, H, W]` on any device; no graph is made of what is
    /// done with them.
    ///
    /// # Errors
    /// An `every` of 0; images that a loss or a sheet does not accept; a file that cannot be written.
    pub fn write(
        &self,
        manager: &LossManager,
        tags: &[&str],
        step: u64,
        fake: &Tensor,
        real: &Tensor,
    ) -> Result<()> {
        if self.every == 0 {
            let expected = "1 or more".into();
            return Err(Error::Option { option: "every", given: "0".into(), expected });
        }
        if !step.is_multiple_of(self.every) {
            return Ok(());
        }
        let folder = self.folder.join(format!("step-{step:06}"));
        no_grad(|| {
            let (fake, real) = (first("fake", fake)?, first("real", real)?);
            let losses = manager.losses(tags);
            let names: Vec<&str> = losses.iter().map(|(name, _)| *name).collect();
            for ((name, loss), file) in losses.into_iter().zip(file_names(&names)) {
                if let Some(sheet) = self.sheet(name, loss, &fake, &real)? {
                    save_png(&sheet, folder.join(file))?;
                }
            }
            Ok(())
        })
    }

    /// The sheet of a loss that has a map.
    fn sheet(
        &self,
        name: &str,
        loss: &dyn Loss,
        fake: &Tensor,
        real: &Tensor,
    ) -> Result<Option<image::RgbImage>> {
        let Some(map) = loss.loss_map(fake, real)? else { return Ok(None) };
        let value = map.f_mean(Kind::Double)?.f_double_value(&[])?;
        let responses = loss.response(fake)?.zip(loss.response(real)?);
        ContactSheet { name, value, fake, real, range: self.range, responses, map }.render().map(Some)
    }
}

/// The first image of a batch.
fn first(argument: &'static str, batch: &Tensor) -> Result<Tensor> {
    check::image(argument, batch)?;
    Ok(batch.f_narrow(0, 0, 1)?)
}

/// The name of a loss's picture, `G_SOBEL.png`: the loss's name, with `_` in place of what a file name cannot have on
/// some system, or cannot show.
///
/// ```
/// assert_eq!(tch_losses::visual::file_name("G/SOBEL"), "G_SOBEL.png");
/// ```
pub fn file_name(name: &str) -> String {
    let is_shown = |c: char| printable(c.encode_utf8(&mut [0; 4])).to_string().chars().eq([c]);
    format!("{}{ENDING}", name.replace(|c| !is_shown(c) || r#"/\:*?"<>|"#.contains(c), "_"))
}

/// The names of the pictures of several losses: the [`file_name`] of each, but no two that differ in capitals at most. Where
/// two would be, one of them has a number. A loss whose name can stay as it is goes first.
///
/// ```
/// use tch_losses::visual::file_names;
///
/// assert_eq!(file_names(&["G/SOBEL", "G_SOBEL", "D"]), ["G_SOBEL-2.png", "G_SOBEL.png", "D.png"]);
/// ```
pub fn file_names(names: &[&str]) -> Vec<String> {
    let mut files: Vec<String> = names.iter().map(|name| file_name(name)).collect();
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by_key(|place| files[*place].strip_suffix(ENDING) != Some(names[*place]));
    let mut taken = HashSet::new();
    for place in order {
        let stem = files[place].strip_suffix(ENDING).unwrap_or_default().to_owned();
        // Some systems do not tell capital letters from small ones.
        for number in 2.. {
            if taken.insert(files[place].to_lowercase()) {
                break;
            }
            files[place] = format!("{stem}-{number}{ENDING}");
        }
    }
    files
}
