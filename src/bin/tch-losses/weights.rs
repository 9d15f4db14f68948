//! `tch-losses weights`: files of weights, and the cache they are kept in.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use tch_losses::weights::{
    convert, sha256, Cache, ConvertOptions, Converted, WeightsError, WeightsFile, KNOWN_FILES,
};
use tch_losses::{printable, Architecture, Error};

use crate::{note, print};

/// Fetch, convert and look into files of weights
#[derive(clap::Subcommand)]
pub enum Command {
    /// Make sure that the pretrained weights are in the cache, and print their path
    ///
    /// What is not there is fetched, verified and converted; what torch.hub has already is used instead.
    /// TCH_LOSSES_CACHE names another cache folder, TCH_LOSSES_OFFLINE=1 forbids the network.
    Fetch {
        /// Networks whose weights to fetch
        #[arg(value_name = "NAME", default_value = DEFAULT, value_parser = network())]
        networks: Vec<Architecture>,
        /// All of them, several GB
        #[arg(long, conflicts_with = "networks")]
        all: bool,
    },
    /// Write the tensors of a state dict (any .pth file) to a safetensors file
    Convert {
        /// What torch.save wrote
        #[arg(value_name = "IN.pth")]
        input: PathBuf,
        /// The file to write
        #[arg(value_name = "OUT.safetensors")]
        output: PathBuf,
        /// Only the tensors whose names begin so, such as features.
        #[arg(long, value_name = "PREFIX", default_value = "")]
        keep: String,
        /// Take this off the names that begin with it, such as module. of nn.DataParallel; --keep is for what is left
        #[arg(long, value_name = "PREFIX", default_value = "")]
        strip: String,
        /// Allow any size: tensors that share memory in the file can be far larger once written out
        #[arg(long)]
        expand: bool,
    },
    /// Print what is in a .pth or safetensors file: names, shapes, kinds, metadata, hash
    Show {
        /// The file
        file: PathBuf,
    },
    /// Print where the pretrained weights are kept, whether or not they are there
    Path {
        /// The network
        #[arg(value_name = "NAME", default_value = DEFAULT, value_parser = network())]
        network: Architecture,
    },
}

/// The network whose weights are meant where none is named.
const DEFAULT: &str = "vgg19";

/// Reads the name of a network.
fn network() -> impl TypedValueParser<Value = Architecture> {
    let names = PossibleValuesParser::new(Architecture::ALL.map(|network| network.name()));
    names.try_map(|name| {
        let found = Architecture::ALL.into_iter().find(|network| network.name() == name);
        found.ok_or("no network of this name")
    })
}

/// Runs the subcommand.
pub fn run(command: &Command) -> Result<()> {
    match command {
        Command::Fetch { networks, all } => {
            let cache = Cache::from_env()?;
            let named: Vec<_> = networks.iter().map(|network| *network.known_weights()).collect();
            let files = if *all { KNOWN_FILES } else { &named };
            files.iter().try_for_each(|file| {
                let mut path = cache.get(file);
                if let Err(Error::Weights(WeightsError::Fetch { wrong, .. })) = &mut path {
                    *wrong = Box::default(); // noted when the fetch began
                }
                print(&format!("{}\n", path?.display()))
            })
        }
        Command::Convert { input, output, keep, strip, expand } => {
            let options = ConvertOptions { keep, strip, expand: *expand };
            let Converted { written, left_out } = convert(input, output, &options)?;
            left_out.iter().for_each(|tensor| note(format_args!("left out: {tensor}")));
            let plural = if written == 1 { "" } else { "s" };
            note(format_args!("wrote {written} tensor{plural} to {}", output.display()));
            Ok(())
        }
        Command::Show { file } => print(&description(file)?),
        Command::Path { network } => {
            let path = Cache::from_env()?.path(network.known_weights());
            if !path.exists() {
                note(format_args!("not there yet: `tch-losses weights fetch {network}` makes it"));
            }
            print(&format!("{}\n", path.display()))
        }
    }
}

fn description(path: &Path) -> Result<String> {
    let file = WeightsFile::open(path)?;
    let bytes = path.metadata().with_context(|| path.display().to_string())?.len();
    let name = path.display().to_string();
    let mut text = format!("file       {}\nsize       {bytes} bytes\n", printable(&name));
    text += &format!("sha-256    {}\n", sha256(path)?);
    for (key, value) in file.metadata() {
        text += &format!("metadata   {} = {}\n", printable(&key), printable(&value));
    }
    let readable = file.names().into_iter().filter_map(|name| {
        let (shape, kind) = file.find(&name)?;
        Some([printable(&name).to_string(), format!("{kind:?}"), format!("{shape:?}")])
    });
    let unreadable = file.unreadable().into_iter();
    let unreadable = unreadable.map(|(name, reason)| [printable(&name).to_string(), "-".into(), reason]);
    let rows: Vec<[String; 3]> = readable.chain(unreadable).collect();
    // One name of 64 KiB does not make all rows that long.
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count().min(100)).max().unwrap_or(0);
    let (names, kinds) = (width(0), width(1));
    text += &format!("tensors    {}\n\n", rows.len());
    for [name, kind, shape] in &rows {
        text += format!("{name:<names$}  {kind:<kinds$}  {shape}").trim_end();
        text += "\n";
    }
    Ok(text)
}
