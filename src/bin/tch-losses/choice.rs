//! Losses for commands that look at many of them.

use std::path::PathBuf;

use anyhow::{Context, Result};
use tch::{Device, Tensor};
use tch_losses::manager::LossSpec;
use tch_losses::{printable, DataRange};

use crate::losses::{Chosen, Entry};
use crate::note;

/// Which losses.
#[derive(clap::Args)]
pub struct Choice {
    /// The losses, separated by commas, by the names of the catalogue, such as SSIMLoss; or the word `all`, for all
    /// losses of two images that need no network
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "all")]
    losses: Vec<String>,

    /// VGG19 weights, for the perceptual loss: torchvision's, as a safetensors or .pth file; or the word
    /// `pretrained`, for those that `tch-losses weights fetch` gets
    #[arg(long, value_name = "WEIGHTS")]
    vgg: Option<PathBuf>,
}

impl Choice {
    /// The losses, for pictures from 0 to 1.
    pub fn chosen(&self) -> Result<Chosen> {
        Chosen::by_name(&self.losses, self.vgg.as_deref(), DataRange::Unit, Device::Cpu)
    }

    /// Those that accept such pictures, in the order of the catalogue. That some were left out is noted, if nobody
    /// asked for them by name.
    pub fn accepting<'a>(&self, chosen: &'a Chosen, pictures: &[Tensor]) -> Result<Vec<Entry<'a>>> {
        let mut accepting = Vec::new();
        for entry in chosen.entries() {
            let refusal = pictures.iter().find_map(|picture| entry.loss.try_forward(picture, picture).err());
            let key = printable(entry.key);
            match refusal {
                None => accepting.push(entry),
                Some(error) if chosen.optional => note(format_args!("left out: {key}: {error}")),
                Some(error) => return Err(error).with_context(|| format!("cannot compute {key}")),
            }
        }
        if chosen.optional && self.vgg.is_none() {
            note("left out: losses that need a network; --vgg WEIGHTS adds the perceptual one");
        }
        accepting.sort_by_key(|entry| LossSpec::NAMES.iter().position(|name| *name == entry.name));
        Ok(accepting)
    }
}
