//! `tch-losses gallery`: the heat maps of all losses on one page.

use std::path::PathBuf;

use anyhow::{bail, Context, Result};
use tch::no_grad;
use tch_losses::printable;
use tch_losses::visual::{Tile, TileSheet};

use crate::choice::Choice;
use crate::losses::Entry;
use crate::note;
use crate::photo::{check_name, photo, refuse_to_replace, save};

/// Draw where in a picture each loss comes from: the heat maps of all losses that have one, on one page
///
/// `tch-losses compare --losses all --maps DIR` writes a larger sheet of each.
#[derive(clap::Args)]
pub struct Args {
    /// The generated image: a PNG, JPEG, WebP, TIFF or BMP file
    #[arg(long, value_name = "IMAGE")]
    fake: PathBuf,

    /// The image that it should have been
    #[arg(long, value_name = "IMAGE")]
    real: PathBuf,

    #[command(flatten)]
    choice: Choice,

    /// The side of the pictures in pixels: their middle square is made as small as this, and a smaller one is left as
    /// it is
    #[arg(long, value_name = "PIXELS", default_value_t = 256, allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(32..=2048))]
    size: i64,

    /// The page to write, PNG or JPEG as its name ends
    #[arg(short, long, value_name = "FILE", default_value = "gallery.png")]
    output: PathBuf,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<()> {
    check_name("--output", &args.output)?;
    refuse_to_replace("--output", [args.output.clone()], [&args.fake, &args.real])?;
    let (fake, size) = photo("--fake", &args.fake, args.size)?;
    let (real, expected) = photo("--real", &args.real, args.size)?;
    if size != expected {
        let pixels = |(width, height)| format!("{width} x {height}");
        bail!(
            "--fake has {} pixels and --real {}: give pictures of one size",
            pixels(size),
            pixels(expected)
        );
    }
    let chosen = args.choice.chosen()?;
    let losses = args.choice.accepting(&chosen, &[real.shallow_clone()])?;
    let mut tiles =
        vec![Tile::of_image("real", "", &real, (0.0, 1.0))?, Tile::of_image("fake", "", &fake, (0.0, 1.0))?];
    let mut without = Vec::new();
    no_grad(|| -> Result<()> {
        for Entry { key, name, loss, .. } in &losses {
            let failed = || format!("cannot compute {}", printable(key));
            match loss.loss_map(&fake, &real).with_context(failed)? {
                Some(map) => {
                    let value = loss.try_forward(&fake, &real).with_context(failed)?.f_mean(None)?;
                    tiles.push(Tile::of_map(name, value.f_double_value(&[])?, &map)?);
                }
                None => without.push(*name),
            }
        }
        Ok(())
    })?;
    let mut notes = vec![
        "Below each map: the loss, and the value that is drawn yellow, the end of the map's scale; black is 0, or the least value below.".to_owned(),
    ];
    if !without.is_empty() {
        notes.push(format!("Without a map: {}.", without.join(", ")));
    }
    let notes: Vec<&str> = notes.iter().map(String::as_str).collect();
    let sheet = TileSheet {
        title: "Where losses come from",
        facts: "The heat map of each loss on the same pair of pictures.",
        tiles: &tiles,
        notes: &notes,
    };
    save(&sheet.render(), &args.output).context("--output")?;
    note(format_args!("wrote {}", args.output.display()));
    Ok(())
}
