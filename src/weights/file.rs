//! Files of weights, whatever their format.

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::path::Path;

use tch::{Kind, Tensor};

use super::looks::is_safetensors;
use super::open;
use super::pth::PthFile;
use super::safetensors::SafetensorsFile;
use crate::{Error, Result};

/// A file of named tensors, safetensors or [`.pth`](super::pth), told by its content.
///
/// Opening reads no more than names, shapes and kinds.
///
/// ```
/// use tch_losses::weights::WeightsFile;
///
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pth/lpips/alex.pth");
/// let mut file = WeightsFile::open(path)?;
/// let name = file.names().remove(0);
/// let tensor = file.read(&name)?;
/// assert_eq!(file.find(&name), Some((tensor.size(), tensor.kind())));
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[derive(Debug)]
pub struct WeightsFile(Format);

#[derive(Debug)]
enum Format {
    Safetensors(SafetensorsFile),
    Pth(PthFile),
}

impl WeightsFile {
    /// Finds out what tensors a file holds.
    ///
    /// # Errors
    /// [`Error::Read`] where the file cannot be read, [`WeightsError::Pth`] or [`WeightsError::Unusable`] where it is
    /// damaged. Of a file that holds no weights, [`WeightsError::Pth`] says what it seems to be.
    ///
    /// [`WeightsError::Pth`]: super::WeightsError::Pth
    /// [`WeightsError::Unusable`]: super::WeightsError::Unusable
    pub fn open(path: impl AsRef<Path>) -> Result<WeightsFile> {
        let path = path.as_ref();
        let mut file = open::to_read(path)?;
        let mut start = Vec::new();
        (&file)
            .take(9)
            .read_to_end(&mut start)
            .and_then(|_| file.rewind())
            .map_err(|reason| Error::Read { path: path.into(), reason })?;
        Ok(WeightsFile(match is_safetensors(&start) {
            true => Format::Safetensors(SafetensorsFile::new(file, path)?),
            // If it is no `.pth` file either, the error says what it seems to be.
            false => Format::Pth(PthFile::from_reader(file, path)?),
        }))
    }

    /// Whether [`convert`](super::convert()) takes it.
    pub(super) fn is_pth(&self) -> bool {
        matches!(self.0, Format::Pth(_))
    }

    /// The names of the tensors that can be read, in the order of the file.
    pub fn names(&self) -> Vec<String> {
        match &self.0 {
            Format::Safetensors(file) => file.names(),
            Format::Pth(file) => file.tensors().iter().map(|tensor| tensor.name().to_owned()).collect(),
        }
    }

    /// The names of the tensors that cannot be read, and why, as the end of a sentence: "sparse".
    pub fn unreadable(&self) -> Vec<(String, String)> {
        match &self.0 {
            Format::Safetensors(file) => file.unreadable(),
            Format::Pth(file) => {
                let tensors = file.unreadable().iter();
                tensors.map(|tensor| (tensor.name.clone(), tensor.reason.to_string())).collect()
            }
        }
    }

    /// Shape and kind of a tensor, if it is there and can be read.
    pub fn find(&self, name: &str) -> Option<(Vec<i64>, Kind)> {
        match &self.0 {
            Format::Safetensors(file) => file.find(name),
            Format::Pth(file) => file.find(name).map(|tensor| (tensor.shape().to_vec(), tensor.kind())),
        }
    }

    /// The metadata of a safetensors file; a `.pth` file has none.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        match &self.0 {
            Format::Safetensors(file) => file.metadata(),
            Format::Pth(_) => BTreeMap::new(),
        }
    }

    /// Reads one tensor, and nothing else, to the CPU, copying it once.
    ///
    /// # Errors
    /// Where there is no tensor of that name, or it cannot be read or does not fit into memory.
    pub fn read(&mut self, name: &str) -> Result<Tensor> {
        match &mut self.0 {
            Format::Safetensors(file) => file.read(name),
            Format::Pth(file) => file.read(name),
        }
    }
}
