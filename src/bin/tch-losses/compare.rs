//! `tch-losses compare`: the losses of one pair of images, as numbers and as pictures.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};
use clap::ValueEnum;
use tch::{Cuda, Device};
use tch_losses::visual::{file_name, save_png, ContactSheet};
use tch_losses::{printable, DataRange};

use crate::losses::{Chosen, Entry};
use crate::pair::Pair;
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

    /// The losses to compute, separated by commas: l1, mse, sobel, laplacian, vgg, or the name of any loss of two
    /// images, such as SSIMLoss; or the word `all`, for all that need no network. Losses of other things than images,
    /// such as labels or a discriminator's outputs, are refused
    #[arg(long, value_name = "NAMES", value_delimiter = ',', conflicts_with = "objective")]
    losses: Option<Vec<String>>,

    /// Compute the losses of this objective, a .toml or .json file, with its weights (those of epoch 0): the losses
    /// with the tag `image`, or all of them where none has it
    #[arg(long, value_name = "FILE", conflicts_with = "vgg")]
    objective: Option<PathBuf>,

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

    fn data_range(self) -> DataRange {
        match self {
            Range::Signed => DataRange::Signed,
            Range::Unit => DataRange::Unit,
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

    let vgg = args.vgg.as_deref();
    let chosen = match (&args.objective, &args.losses) {
        (Some(path), _) => Chosen::of_file(path, args.range.data_range(), device)?,
        (None, Some(names)) => Chosen::by_name(names, vgg, args.range.data_range(), device)?,
        (None, None) => Chosen::usual(vgg, device)?,
    };
    let mut entries = Vec::new();
    let mut values = Vec::new();
    for entry in chosen.entries() {
        let Entry { key, loss, reach, weight, .. } = entry;
        match pair.value(loss, reach) {
            Ok(value) => {
                values.push(Value { key, value, weight });
                entries.push(entry);
            }
            Err(error) if chosen.optional => note(format_args!("left out: {}: {error}", printable(key))),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot compute {} of {names}", printable(key)))
            }
        }
    }

    if let Some(directory) = &args.maps {
        fs::create_dir_all(directory)
            .with_context(|| format!("--maps: cannot make the folder {}", directory.display()))?;
        for (Entry { key, headline, loss, reach, .. }, Value { value, .. }) in entries.iter().zip(&values) {
            let Some(map) = pair.map(*loss, *reach)? else {
                note(format_args!("{} has no map: no picture is written of it", printable(key)));
                continue;
            };
            let sheet = ContactSheet {
                name: headline,
                value: *value,
                fake: &pair.fake,
                real: &pair.real,
                range: args.range.ends(),
                responses: pair.responses(*loss, *reach)?,
                map,
            };
            let path = directory.join(file_name(key));
            save_png(&sheet.render()?, &path).context("--maps")?;
            note(format_args!("wrote {}", path.display()));
        }
    }

    print(&if args.json {
        json(&values, chosen.weighted)
    } else {
        table(args, device, &pair.fake, &values, chosen.weighted)
    })
}

fn size_in_words(picture: &Picture) -> String {
    let (width, height) = picture.size();
    format!("{width} x {height}")
}

/// A loss of the pair.
struct Value<'a> {
    key: &'a str,
    value: f64,
    weight: f64,
}

impl Value<'_> {
    fn weighted(&self) -> f64 {
        self.weight * self.value
    }
}

/// The losses by name; with weights, what they add up to as well.
fn json(values: &[Value], weighted: bool) -> String {
    // `Value::from` makes null of what is not finite.
    let mut object = serde_json::Map::new();
    for value in values {
        let number = serde_json::Value::from(value.value);
        let entry = match weighted {
            false => number,
            true => {
                serde_json::json!({ "value": number, "weight": value.weight, "weighted": value.weighted() })
            }
        };
        object.insert(value.key.into(), entry);
    }
    let total: f64 = values.iter().map(Value::weighted).sum();
    let whole = match weighted {
        false => serde_json::Value::from(object),
        true => serde_json::json!({ "losses": object, "total": total }),
    };
    format!("{whole}\n")
}

fn table(args: &Args, device: Device, picture: &Picture, values: &[Value], weighted: bool) -> String {
    let (low, high) = args.range.ends();
    let device = if device.is_cuda() { "CUDA" } else { "CPU" };
    let mut text = format!("fake       {}\n", printable(&args.fake.display().to_string()));
    text += &format!("real       {}\n", printable(&args.real.display().to_string()));
    text += &format!("size       {} pixels\n", size_in_words(picture));
    text += &format!("range      {low} to {high}\n");
    text += &format!("device     {device}\n\n");
    let keys: Vec<String> = values.iter().map(|value| printable(value.key).to_string()).collect();
    let width = keys.iter().map(|key| key.chars().count()).fold(10, usize::max);
    if !weighted {
        text += &format!("{:<width$} value\n", "loss");
        for (key, value) in keys.iter().zip(values) {
            text += &format!("{key:<width$} {}\n", six_digits(value.value));
        }
        return text;
    }
    text += &format!("{:<width$} {:<12} {:<10} weighted\n", "loss", "value", "weight");
    for (key, value) in keys.iter().zip(values) {
        let (number, weight) = (six_digits(value.value), six_digits(value.weight));
        text += &format!("{key:<width$} {number:<12} {weight:<10} {}\n", six_digits(value.weighted()));
    }
    let total: f64 = values.iter().map(Value::weighted).sum();
    text + &format!("{:<width$} {:<12} {:<10} {}\n", "total", "", "", six_digits(total))
}

/// Six significant digits, or fewer where the rest are zeros.
fn six_digits(value: f64) -> String {
    let rounded: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    format!("{rounded:?}")
}
