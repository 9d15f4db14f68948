//! `tch-losses compare`: the losses of one pair of images, as numbers and as pictures.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};
use clap::ValueEnum;
use tch::{Cuda, Device};
use tch_losses::visual::{save_png, ContactSheet};
use tch_losses::{
    printable, Architecture, L1Loss, Laplacian, LossMap, MseLoss, Network, Sobel, VggPerceptual,
};

use crate::pair::{Pair, Reach};
use crate::picture::Picture;
use crate::{note, picture, print};

/// Compare a generated image with the real one: their losses as a table, as JSON, as pictures.
///
/// Images are PNG, JPEG, WebP, TIFF or BMP files with 8 or 16 bits, grey or colour, of one size. They are turned as
/// their EXIF orientation says.
#[derive(clap::Args)]
pub struct Args {
    /// The generated image
    #[arg(long, value_name = "IMAGE")]
    fake: PathBuf,

    /// The image that it should have been
    #[arg(long, value_name = "IMAGE")]
    real: PathBuf,

    /// VGG19 weights, for the perceptual loss: torchvision's, as a safetensors or .pth file; or the word
    /// `pretrained`, for those that `tch-losses weights fetch` gets
    #[arg(long, value_name = "WEIGHTS")]
    vgg: Option<PathBuf>,

    /// The values that black and white have for the losses
    #[arg(long, value_enum, default_value_t = Range::Signed)]
    range: Range,

    /// Where to compute
    #[arg(long, value_enum, default_value_t = Place::Cpu)]
    device: Place,

    /// Print one JSON object instead of the table: the losses by name, null for one that is not finite
    #[arg(long)]
    json: bool,

    /// Write a picture of each loss, such as sobel.png, to this folder (made if it is not there)
    #[arg(long, value_name = "DIR")]
    maps: Option<PathBuf>,

    /// Refuse images of more pixels, by default of more than 33 megapixels. A pair takes some 30 bytes of memory per
    /// pixel, with --vgg some 2000
    #[arg(long, value_name = "N", default_value_t = 1 << 25)]
    max_pixels: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Range {
    /// -1 to 1, as pix2pix trainers feed their networks
    Signed,
    /// 0 to 1
    Unit,
}

impl Range {
    fn ends(self) -> (f64, f64) {
        match self {
            Range::Signed => (-1.0, 1.0),
            Range::Unit => (0.0, 1.0),
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Place {
    Cpu,
    /// The first CUDA device
    Cuda,
}

impl Place {
    fn device(self) -> Result<Device> {
        match self {
            Place::Cpu => Ok(Device::Cpu),
            Place::Cuda if Cuda::is_available() => Ok(Device::Cuda(0)),
            Place::Cuda => bail!("--device cuda: libtorch finds no CUDA device here: use --device cpu"),
        }
    }
}

/// A loss with its key in the output and its name on the sheet.
struct Entry {
    key: &'static str,
    name: &'static str,
    loss: Box<dyn LossMap>,
    reach: Reach,
}

impl Entry {
    fn new(key: &'static str, name: &'static str, loss: impl LossMap + 'static, reach: Reach) -> Entry {
        Entry { key, name, loss: Box::new(loss), reach }
    }
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<()> {
    let device = args.device.device()?;
    let load = |path: &Path| picture::load(path, args.range.ends(), args.max_pixels);
    let pair = Pair::new(load(&args.fake)?, load(&args.real)?, device);
    let (fake_name, real_name) = (args.fake.display().to_string(), args.real.display().to_string());
    let names = format!("{} and {}", printable(&fake_name), printable(&real_name));
    if pair.fake.size() != pair.real.size() {
        let (fake, real) = (size_in_words(&pair.fake), size_in_words(&pair.real));
        bail!("{names} differ in size, {fake} and {real} pixels: crop or resize one of them");
    }

    let mut entries = vec![
        Entry::new("l1", "L1", L1Loss::default(), Reach::Rows(0)),
        Entry::new("mse", "MSE", MseLoss::default(), Reach::Rows(0)),
        Entry::new("sobel", "Sobel", Sobel::default(), Reach::Rows(1)),
        Entry::new("laplacian", "Laplacian", Laplacian::default(), Reach::Rows(1)),
    ];
    if let Some(path) = &args.vgg {
        let vgg = match path.to_str() {
            Some("pretrained") => Network::pretrained(&Architecture::VGG19, device),
            _ => Network::from_file(path, &Architecture::VGG19, device),
        };
        let vgg = vgg.context("--vgg")?;
        entries.push(Entry::new("vgg", "VGG19 perceptual", VggPerceptual::new(vgg), Reach::All));
    }
    let mut values = Vec::new();
    for Entry { key, loss, reach, .. } in &entries {
        let value =
            pair.value(loss.as_ref(), *reach).with_context(|| format!("cannot compute {key} of {names}"))?;
        values.push((*key, value));
    }

    if let Some(directory) = &args.maps {
        fs::create_dir_all(directory)
            .with_context(|| format!("--maps: cannot make the folder {}", directory.display()))?;
        for (Entry { key, name, loss, reach }, (_, value)) in entries.iter().zip(&values) {
            let sheet = ContactSheet {
                name,
                value: *value,
                fake: &pair.fake,
                real: &pair.real,
                range: args.range.ends(),
                responses: pair.responses(loss.as_ref(), *reach)?,
                map: pair.map(loss.as_ref(), *reach)?,
            };
            let path = directory.join(format!("{key}.png"));
            save_png(&sheet.render()?, &path).context("--maps")?;
            note(format_args!("wrote {}", path.display()));
        }
    }

    print(&if args.json { json(&values) } else { table(args, device, &pair.fake, &values) })
}

fn size_in_words(picture: &Picture) -> String {
    let (width, height) = picture.size();
    format!("{width} x {height}")
}

fn json(values: &[(&str, f64)]) -> String {
    // `Value::from` makes null of what is not finite.
    let object: serde_json::Map<_, _> =
        values.iter().map(|(key, value)| (key.to_string(), (*value).into())).collect();
    format!("{}\n", serde_json::Value::from(object))
}

fn table(args: &Args, device: Device, picture: &Picture, values: &[(&str, f64)]) -> String {
    let (low, high) = args.range.ends();
    let device = if device.is_cuda() { "CUDA" } else { "CPU" };
    let mut text = format!("fake       {}\n", printable(&args.fake.display().to_string()));
    text += &format!("real       {}\n", printable(&args.real.display().to_string()));
    text += &format!("size       {} pixels\n", size_in_words(picture));
    text += &format!("range      {low} to {high}\n");
    text += &format!("device     {device}\n\n");
    text += "loss       value\n";
    for (key, value) in values {
        text += &format!("{key:<10} {}\n", six_digits(*value));
    }
    text
}

/// Six significant digits, or fewer where the rest are zeros.
fn six_digits(value: f64) -> String {
    let rounded: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    format!("{rounded:?}")
}
