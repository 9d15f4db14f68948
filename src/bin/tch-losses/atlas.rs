//! `tch-losses atlas`: what losses see and what they are blind to, measured on photos.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use tch_losses::visual::{Atlas, Distortion, Subject};

use crate::choice::Choice;
use crate::losses::Entry;
use crate::note;
use crate::photo::{photo, refuse_to_replace, save};
use crate::progress::Bar;

/// Measure what losses see in photos that are distorted more and more, and what they are blind to
///
/// Written are a sheet of curves for each distortion (gaussian-blur.jpg and others), sensitivity.png, agreement.png,
/// atlas.md (the same in words) and atlas.json (the numbers). Three photos take one to two minutes on two cores.
#[derive(clap::Args)]
pub struct Args {
    /// The photos: PNG, JPEG, WebP, TIFF or BMP files. The first is shown on the sheets
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    image: Vec<PathBuf>,

    /// Where the pictures, the text and the numbers go, a folder (made if it is not there)
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    #[command(flatten)]
    choice: Choice,

    /// The side of the photos in pixels: their middle square is made as small as this, and a smaller one is left as it
    /// is
    #[arg(long, value_name = "PIXELS", default_value_t = 256, allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(32..=2048))]
    size: i64,

    /// What the noise and the place of the missing patch are made from
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<()> {
    let pages = Distortion::ALL.map(|distortion| args.out.join(page_of(distortion)));
    let tables = ["sensitivity.png", "agreement.png"].map(|name| args.out.join(name));
    refuse_to_replace("--out", pages.into_iter().chain(tables), &args.image)?;
    let photos = args.image.iter().map(|path| Ok(photo("--image", path, args.size)?.0));
    let photos = photos.collect::<Result<Vec<_>>>()?;
    let chosen = args.choice.chosen()?;
    let mut subjects = Vec::new();
    for Entry { name, family, loss, .. } in args.choice.accepting(&chosen, &photos)? {
        subjects.push(Subject { name, family, loss });
    }
    // Before the minutes that measuring takes.
    let out = &args.out;
    fs::create_dir_all(out).with_context(|| format!("--out: cannot make the folder {}", out.display()))?;

    let bar = Bar::new("distorted photos");
    let atlas = Atlas::measure(&subjects, &photos, args.seed, |done, all| bar.show(done, all))?;
    bar.finish();

    let shown = &photos[0];
    let mut written = vec!["sensitivity.png".to_owned(), "agreement.png".into()];
    save(&atlas.draw_sensitivity(shown)?, &out.join(&written[0])).context("--out")?;
    save(&atlas.draw_agreement(), &out.join(&written[1])).context("--out")?;
    let mut text = "# An atlas of losses\n\n![What losses see](sensitivity.png)\n\n\
                    ![Which losses pull the same way](agreement.png)\n\n"
        .to_owned();
    text += &atlas.describe();
    text += "\n## Curves\n";
    for distortion in Distortion::ALL {
        let name = page_of(distortion);
        save(&atlas.draw_curves(distortion, shown)?, &out.join(&name)).context("--out")?;
        text += &format!("\n![{}]({name})\n", distortion.name());
        written.push(name);
    }
    let numbers = serde_json::to_string(&atlas)? + "\n";
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

/// The name of the page with a distortion's curves.
fn page_of(distortion: Distortion) -> String {
    format!("{}.jpg", distortion.name().replace(' ', "-").to_lowercase())
}
