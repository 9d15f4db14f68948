//! `tch-losses descend`: what each loss alone restores.

use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};
use tch::Tensor;
use tch_losses::visual::{descend, Tile, TileSheet};
use tch_losses::{printable, PsnrLoss};

use crate::choice::Choice;
use crate::losses::Entry;
use crate::note;
use crate::photo::{check_name, photo, refuse_to_replace, save};
use crate::progress::Bar;

/// Optimise the pixels of a picture by one loss at a time: what each loss alone restores, on one page
///
/// The optimiser is Adam. All losses and 200 steps take one to two minutes on two cores.
#[derive(clap::Args)]
pub struct Args {
    /// The photo that is to be restored: a PNG, JPEG, WebP, TIFF or BMP file
    #[arg(long, value_name = "IMAGE")]
    real: PathBuf,

    /// What the pixels are at first: `noise`, `grey`, or an image file
    #[arg(long, value_name = "START", default_value = "noise")]
    start: PathBuf,

    #[command(flatten)]
    choice: Choice,

    /// How many steps
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,

    /// The side of the pictures in pixels: their middle square is made as small as this, and a smaller one is left as
    /// it is
    #[arg(long, value_name = "PIXELS", default_value_t = 192, allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(32..=2048))]
    size: i64,

    /// What the noise is made from
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// The page to write, PNG or JPEG as its name ends
    #[arg(short, long, value_name = "FILE", default_value = "descend.png")]
    output: PathBuf,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<()> {
    check_name("--output", &args.output)?;
    refuse_to_replace("--output", [args.output.clone()], [&args.real, &args.start])?;
    let (real, _) = photo("--real", &args.real, args.size)?;
    let start = start(args, &real)?;
    let chosen = args.choice.chosen()?;
    let losses = args.choice.accepting(&chosen, &[real.shallow_clone()])?;
    let tile = |name: &str, picture: &Tensor| -> Result<Tile> {
        let decibels = PsnrLoss::default().psnr(picture, &real)?.f_double_value(&[])?;
        Ok(Tile::of_image(name, &format!("PSNR {decibels:.1} dB"), picture, (0.0, 1.0))?)
    };
    let mut tiles = vec![Tile::of_image("the photo", "", &real, (0.0, 1.0))?, tile("the start", &start)?];
    let bar = Bar::new("steps");
    let all = losses.len() * args.steps as usize;
    for (number, Entry { key, name, loss, .. }) in losses.iter().enumerate() {
        let before = number * args.steps as usize;
        let restored =
            descend(*loss, &start, &real, args.steps, |step| bar.show(before + step as usize, all));
        match restored {
            Ok(restored) => tiles.push(tile(name, &restored)?),
            Err(error) if chosen.optional => note(format_args!("left out: {}: {error}", printable(key))),
            Err(error) => return Err(error).with_context(|| format!("cannot descend {}", printable(key))),
        }
    }
    bar.finish();
    let sheet = TileSheet {
        title: "What each loss restores alone",
        facts: &format!("The pixels after {} steps of Adam, each from the same start.", args.steps),
        tiles: &tiles,
        notes: &["The PSNR compares with the photo. What a loss does not see may be anything."],
    };
    save(&sheet.render(), &args.output).context("--output")?;
    note(format_args!("wrote {}", args.output.display()));
    Ok(())
}

/// The picture to begin with, of the size of the photo.
fn start(args: &Args, real: &Tensor) -> Result<Tensor> {
    if args.start == Path::new("noise") {
        tch::manual_seed(args.seed as i64);
        return Ok(real.f_rand_like()?);
    }
    if args.start == Path::new("grey") {
        return Ok(real.f_full_like(0.5)?);
    }
    if !args.start.exists() {
        bail!(
            "--start: cannot read {}: there is no such file, and the words are `noise` and `grey`",
            args.start.display()
        );
    }
    let (start, _) = photo("--start", &args.start, real.size()[2])?;
    if start.size() != real.size() {
        let (given, side) = (start.size()[2], real.size()[2]);
        bail!(
            "--start {}: its middle square has a side of {given} pixels, expected {side} or more",
            args.start.display()
        );
    }
    Ok(start)
}
