//! `tch-losses compare`: the losses of pairs of images, as numbers and as pictures.

use std::path::PathBuf;

use anyhow::{bail, ensure, Context, Result};
use clap::ValueEnum;
use tch::{Cuda, Device};
use tch_losses::{printable, DataRange};

use crate::inputs::{Inputs, Order, Source};
use crate::losses::{Chosen, Entry};
use crate::maps::Maps;
use crate::pair::Pair;
use crate::photo::refuse_to_replace;
use crate::picture::Limit;
use crate::report::{columns, Loss, Report, Row};
use crate::{in_a_line, note, print};

/// Compare generated images with the real ones: their losses as a table, as JSON or CSV, as pictures.
///
/// Images are PNG, JPEG, WebP, TIFF or BMP files with 8 or 16 bits, grey or colour, of one size. They are turned as
/// their EXIF orientation says. Of two folders, those are compared that have the same names but for their endings; the
/// table ends with the mean of each loss and with its largest value, which is the worst.
#[derive(clap::Args)]
#[command(override_usage = "tch-losses compare --fake <IMAGE> --real <IMAGE> [OPTIONS]\n       \
                            tch-losses compare --strips <IMAGE> [OPTIONS]")]
pub struct Args {
    /// The generated image, or a folder of them
    #[arg(long, value_name = "IMAGE", required_unless_present = "strips")]
    fake: Option<PathBuf>,

    /// The image that it should have been, or a folder of them
    #[arg(long, value_name = "IMAGE", required_unless_present = "strips")]
    real: Option<PathBuf>,

    /// An image that has both side by side, as the data sets of pix2pix have, or a folder of such images
    #[arg(long, value_name = "IMAGE", conflicts_with_all = ["fake", "real"])]
    strips: Option<PathBuf>,

    /// What the parts of a strip are, from left to right: `fake`, `real`, and any other word for what is left out, as
    /// in input,fake,real
    #[arg(long, value_name = "PARTS", default_value = "fake,real", conflicts_with_all = ["fake", "real"])]
    order: Order,

    /// VGG19 weights, for the perceptual loss: torchvision's, as a safetensors or .pth file; or the word
    /// `pretrained`, for those that `tch-losses weights fetch` gets
    #[arg(long, value_name = "WEIGHTS")]
    vgg: Option<PathBuf>,

    /// The losses to compute, separated by commas: l1, mse, sobel, laplacian, vgg, or the name of any loss of two
    /// images, such as SSIMLoss; or the word `all`, for all that need no network. Losses of other things than images,
    /// such as labels or a discriminator's outputs, are refused
    #[arg(long, value_name = "NAMES", value_delimiter = ',', conflicts_with = "objective")]
    losses: Option<Vec<String>>,

    /// Compute the losses of this objective, a .toml or .json file or the name of a published one, such as pix2pix, with
    /// its weights (those of epoch 0): the losses with the tag `image`, or all of them where none has it
    #[arg(long, value_name = "FILE", conflicts_with = "vgg")]
    objective: Option<PathBuf>,

    /// The values that black and white have for the losses
    #[arg(long, value_enum, default_value_t = Range::Signed)]
    range: Range,

    /// Where to compute
    #[arg(long, value_enum, default_value_t = Place::Cpu)]
    device: Place,

    /// Print one JSON object instead of the table: the losses by name, null for one that is not finite. Of folders, it
    /// has `pairs`, and under `losses` the mean and the worst
    #[arg(long)]
    json: bool,

    /// Print CSV instead of the table: a line for each pair, with every digit. Of an objective, it has the losses before
    /// their weights, and the total with them
    #[arg(long, conflicts_with = "json")]
    csv: bool,

    /// Write a picture of each loss, such as sobel.png, to this folder (made if it is not there); of folders, to a
    /// folder in it for each pair
    #[arg(long, value_name = "DIR")]
    maps: Option<PathBuf>,

    /// Refuse images of more pixels, by default of more than 33 megapixels. A pair takes some 30 bytes of memory per
    /// pixel, with --vgg some 2000
    #[arg(long, value_name = "N", default_value_t = 1 << 25, allow_negative_numbers = true)]
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
    let inputs = match (&args.strips, &args.fake, &args.real) {
        (None, Some(fake), Some(real)) => Inputs::of_two(fake, real)?,
        (Some(strips), ..) => Inputs::of_strips(strips, &args.order)?,
        _ => unreachable!("clap asks for --fake and --real, or for --strips"),
    };
    let vgg = args.vgg.as_deref();
    let chosen = match (&args.objective, &args.losses) {
        (Some(path), _) => Chosen::of_file(path, args.range.data_range(), device)?,
        (None, Some(names)) => Chosen::by_name(names, vgg, args.range.data_range(), device)?,
        (None, None) => Chosen::usual(vgg, device)?,
    };

    let mut entries = chosen.entries();
    let mut rows: Vec<Row> = Vec::new();
    let mut size = String::new();
    let mut maps = args.maps.as_deref().map(|folder| Maps::new(folder, inputs.from_folders));
    if let Some(maps) = &maps {
        let pictures = inputs.pairs.iter().flat_map(|source| maps.files(source, &entries));
        refuse_to_replace("--maps", pictures, inputs.pairs.iter().flat_map(Source::paths))?;
    }
    for source in &inputs.pairs {
        let loaded = source.load(args.range.ends(), Limit::Option(args.max_pixels));
        let compared = loaded.and_then(|(fake, real)| {
            let pair = Pair::new(fake, real, device);
            let values = values(&pair, &entries, source, chosen.optional, inputs.from_folders)?;
            Ok((pair, values))
        });
        let (pair, values) = match compared {
            Ok(compared) => compared,
            Err(error) if inputs.from_folders => {
                note(format_args!("left out: {}", in_a_line(&error)));
                continue;
            }
            Err(error) => return Err(error),
        };
        // A column has all pairs in it, or is none: means are of the same pairs.
        for column in (0..entries.len()).rev().filter(|column| values[*column].is_none()) {
            entries.remove(column);
            for row in &mut rows {
                row.values.remove(column);
            }
        }
        let values: Vec<f64> = values.into_iter().flatten().collect();
        if let Some(maps) = &mut maps {
            maps.write(&pair, source, &entries, &values, args.range.ends())?;
        }
        if rows.is_empty() {
            source.doubt_parts(&pair.fake);
        }
        size = pair.fake.size_in_words();
        rows.push(Row { pair: source.name(), values });
    }
    let (all, left_out) = (inputs.pairs.len(), inputs.pairs.len() - rows.len());
    ensure!(left_out < all, "none of the {all} pairs could be compared");

    let losses = entries.iter().map(|entry| Loss { key: entry.key.into(), weight: entry.weight }).collect();
    let report = Report { losses, weighted: chosen.weighted, rows };
    print(&match (args.csv, args.json, inputs.from_folders) {
        (true, ..) => report.csv()?,
        (_, true, false) => report.json_of_pair(),
        (_, true, true) => report.json_of_pairs(),
        (_, _, from_folders) => {
            let mut head = inputs.head;
            head.push(match from_folders {
                false => ("size", format!("{size} pixels")),
                true => ("pairs", report.rows.len().to_string()),
            });
            let (low, high) = args.range.ends();
            head.push(("range", format!("{low} to {high}")));
            head.push(("device", if device.is_cuda() { "CUDA" } else { "CPU" }.into()));
            let head: Vec<_> = head.into_iter().map(|(name, value)| vec![name.into(), value]).collect();
            let table = if from_folders { report.table_of_pairs() } else { report.table_of_pair() };
            format!("{}\n{table}", columns(&head))
        }
    })?;
    ensure!(left_out == 0, "{left_out} of {all} pairs could not be compared");
    Ok(())
}

/// The losses of a pair; `None` for one that refuses the pictures, if nobody asked for it by its name.
fn values(
    pair: &Pair,
    entries: &[Entry],
    source: &Source,
    optional: bool,
    from_folders: bool,
) -> Result<Vec<Option<f64>>> {
    let mut values = Vec::new();
    for Entry { key, loss, reach, .. } in entries {
        match pair.value(*loss, *reach) {
            Ok(value) => values.push(Some(value)),
            Err(error) if optional => {
                let of_all = if from_folders {
                    format!(" of all pairs, for {}", source.files())
                } else {
                    String::new()
                };
                note(format_args!("left out: {}{of_all}: {error}", printable(key)));
                values.push(None);
            }
            Err(error) => {
                let files = source.files();
                return Err(error).with_context(|| format!("cannot compute {} of {files}", printable(key)));
            }
        }
    }
    Ok(values)
}
