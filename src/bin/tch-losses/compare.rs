//! `tch-losses compare`: the losses of one pair of images, as numbers and as pictures.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};
use clap::ValueEnum;
use tch::{Cuda, Device, Tensor};
use tch_losses::visual::{save_png, ContactSheet};
use tch_losses::{L1Loss, Laplacian, LossMap, MseLoss, Sobel, Vgg19, VggPerceptual};

use crate::{note, picture, print};

/// Compare a generated image with the real one: their losses as a table, as JSON, as pictures.
///
/// Images are PNG or JPEG files with 8 or 16 bits, grey or colour, of one size.
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

    fn apply(self, unit: Tensor) -> Result<Tensor> {
        Ok(match self {
            Range::Signed => unit.f_mul_scalar(2.0)?.f_sub_scalar(1.0)?,
            Range::Unit => unit,
        })
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
}

impl Entry {
    fn new(key: &'static str, name: &'static str, loss: impl LossMap + 'static) -> Entry {
        Entry { key, name, loss: Box::new(loss) }
    }
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<()> {
    let device = args.device.device()?;
    let load =
        |path: &Path| -> Result<Tensor> { Ok(args.range.apply(picture::load(path)?)?.f_to_device(device)?) };
    let (fake, real) = (load(&args.fake)?, load(&args.real)?);
    let pair = format!("{} and {}", args.fake.display(), args.real.display());
    if fake.size() != real.size() {
        let (fake, real) = (size_in_words(&fake), size_in_words(&real));
        bail!("{pair} differ in size, {fake} and {real} pixels: crop or resize one of them");
    }

    let mut entries = vec![
        Entry::new("l1", "L1", L1Loss::default()),
        Entry::new("mse", "MSE", MseLoss::default()),
        Entry::new("sobel", "Sobel", Sobel::default()),
        Entry::new("laplacian", "Laplacian", Laplacian::default()),
    ];
    if let Some(path) = &args.vgg {
        let vgg = match path.to_str() {
            Some("pretrained") => Vgg19::pretrained(device),
            _ => Vgg19::from_file(path, device),
        };
        let vgg = vgg.context("--vgg")?;
        entries.push(Entry::new("vgg", "VGG19 perceptual", VggPerceptual::new(vgg)));
    }
    let mut values = Vec::new();
    for Entry { key, loss, .. } in &entries {
        let value =
            loss.try_forward(&fake, &real).with_context(|| format!("cannot compute {key} of {pair}"))?;
        values.push((*key, value.double_value(&[])));
    }

    if let Some(directory) = &args.maps {
        fs::create_dir_all(directory)
            .with_context(|| format!("--maps: cannot make the folder {}", directory.display()))?;
        for (Entry { key, name, loss }, (_, value)) in entries.iter().zip(&values) {
            let sheet = ContactSheet {
                name,
                value: *value,
                fake: &fake,
                real: &real,
                range: args.range.ends(),
                responses: loss.response(&fake)?.zip(loss.response(&real)?),
                map: loss.loss_map(&fake, &real)?,
            };
            let path = directory.join(format!("{key}.png"));
            save_png(&sheet.render()?, &path).context("--maps")?;
            note(format_args!("wrote {}", path.display()));
        }
    }

    print(&if args.json { json(&values) } else { table(args, device, &fake, &values) })
}

fn size_in_words(image: &Tensor) -> String {
    let size = image.size();
    format!("{} x {}", size[3], size[2])
}

fn json(values: &[(&str, f64)]) -> String {
    // `Value::from` makes null of what is not finite.
    let object: serde_json::Map<_, _> =
        values.iter().map(|(key, value)| (key.to_string(), (*value).into())).collect();
    format!("{}\n", serde_json::Value::from(object))
}

fn table(args: &Args, device: Device, image: &Tensor, values: &[(&str, f64)]) -> String {
    let (low, high) = args.range.ends();
    let device = if device.is_cuda() { "CUDA" } else { "CPU" };
    let mut text = format!("fake       {}\n", args.fake.display());
    text += &format!("real       {}\n", args.real.display());
    text += &format!("size       {} pixels\n", size_in_words(image));
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
