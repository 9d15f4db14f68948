//! `tch-losses atlas`: what losses see and what they are blind to, measured on photos.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tch::{Device, Tensor};
use tch_losses::visual::image::codecs::jpeg::JpegEncoder;
use tch_losses::visual::image::RgbImage;
use tch_losses::visual::{save_png, Atlas, Distortion, Subject};
use tch_losses::{printable, DataRange};

use crate::losses::{Chosen, Entry};
use crate::progress::Bar;
use crate::{note, picture};

/// Measure what losses see in photos that are distorted more and more, and what they are blind to
///
/// Written are a sheet of curves for each distortion (blur.jpg and others), sensitivity.png, agreement.png, atlas.md
/// (the same in words) and atlas.json (the numbers). Three photos take one to two minutes on two cores.
#[derive(clap::Args)]
pub struct Args {
    /// The photos: PNG, JPEG, WebP, TIFF or BMP files. The first is shown on the sheets
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    image: Vec<PathBuf>,

    /// Where the pictures, the text and the numbers go, a folder (made if it is not there)
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// The losses, separated by commas, by the names of the catalogue, such as SSIMLoss; or the word `all`, for all
    /// losses of two images that need no network
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "all")]
    losses: Vec<String>,

    /// VGG19 weights, for the perceptual loss: torchvision's, as a safetensors or .pth file; or the word
    /// `pretrained`, for those that `tch-losses weights fetch` gets
    #[arg(long, value_name = "WEIGHTS")]
    vgg: Option<PathBuf>,

    /// The side of the photos in pixels: their middle square is made as small as this, and a smaller one is left as it
    /// is
    #[arg(long, value_name = "PIXELS", default_value_t = 256, value_parser = clap::value_parser!(i64).range(32..=2048))]
    size: i64,

    /// What the noise and the place of the missing patch are made from
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// The largest photo that is read, in pixels.
const MOST_PIXELS: u64 = 1 << 27;

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<()> {
    let photos = args.image.iter().map(|path| photo(path, args.size)).collect::<Result<Vec<_>>>()?;
    let chosen = Chosen::by_name(&args.losses, args.vgg.as_deref(), DataRange::Unit, Device::Cpu)?;
    let mut subjects = Vec::new();
    for entry in chosen.entries() {
        let refusal = photos.iter().find_map(|photo| entry.loss.try_forward(photo, photo).err());
        let Entry { key, family, loss, .. } = entry;
        match refusal {
            None => subjects.push(Subject { name: entry.name, family, loss }),
            Some(error) if chosen.optional => note(format_args!("left out: {}: {error}", printable(key))),
            Some(error) => return Err(error).with_context(|| format!("cannot compute {}", printable(key))),
        }
    }
    if chosen.optional && args.vgg.is_none() {
        note("left out: losses that need a network; --vgg WEIGHTS adds the perceptual one");
    }
    // Before the minutes that measuring takes.
    let out = &args.out;
    fs::create_dir_all(out).with_context(|| format!("--out: cannot make the folder {}", out.display()))?;

    let bar = Bar::new("distorted photos");
    let atlas = Atlas::measure(&subjects, &photos, args.seed, |done, all| bar.show(done, all))?;
    bar.finish();

    let shown = &photos[0];
    let mut written = vec!["sensitivity.png".to_owned(), "agreement.png".into()];
    save_png(&atlas.draw_sensitivity(shown)?, out.join(&written[0])).context("--out")?;
    save_png(&atlas.draw_agreement(), out.join(&written[1])).context("--out")?;
    let mut text = "# An atlas of losses\n\n![What losses see](sensitivity.png)\n\n\
                    ![Which losses pull the same way](agreement.png)\n\n"
        .to_owned();
    text += &atlas.describe();
    text += "\n## Curves\n";
    for distortion in Distortion::ALL {
        let name = format!("{}.jpg", distortion.name().replace(' ', "-").to_lowercase());
        save_jpeg(&atlas.draw_curves(distortion, shown)?, &out.join(&name))?;
        text += &format!("\n![{}]({name})\n", distortion.name());
        written.push(name);
    }
    let numbers = serde_json::to_string_pretty(&atlas)? + "\n";
    for (name, content) in [("atlas.md", text), ("atlas.json", numbers)] {
        let path = out.join(name);
        fs::write(&path, content).with_context(|| format!("--out: cannot write {}", path.display()))?;
        written.push(name.into());
    }
    for name in written {
        note(format_args!("wrote {}", out.join(name).display()));
    }
    Ok(())
}

/// The middle square of a photo as `[1, 3, H, W]` from 0 to 1, no larger than `size`.
pub fn photo(path: &Path, size: i64) -> Result<Tensor> {
    let picture = picture::load(path, (0.0, 1.0), MOST_PIXELS)?;
    picture.square(size).with_context(|| format!("cannot use {}", path.display()))
}

/// A picture with photos in it, which PNG would make four times as large.
pub fn save_jpeg(picture: &RgbImage, path: &Path) -> Result<()> {
    const QUALITY: u8 = 85;
    let mut file = Vec::new();
    picture.write_with_encoder(JpegEncoder::new_with_quality(&mut file, QUALITY))?;
    fs::write(path, file).with_context(|| format!("cannot write {}", path.display()))
}
