//! What can be wrong with a `.pth` file.

use std::io;

use super::UnreadableTensor;
use crate::base::debug_is_the_message;
use crate::printable;

/// The reason why a `.pth` file, or a tensor in it, cannot be read. Offsets are in bytes from the start of
/// the file.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum PthError {
    /// The operating system failed to read.
    #[error("reading failed: {0}")]
    Io(io::Error),

    /// Data would lie beyond the end of the file, or beyond the end of their entry in the archive.
    #[error(
        "{wanted} bytes are needed at offset {offset}, but the data end at {end}: \
         the file is damaged or incomplete"
    )]
    Truncated {
        /// The start of the data.
        offset: u64,
        /// The number of bytes.
        wanted: u64,
        /// The end of the file, or of the entry.
        end: u64,
    },

    /// The file is nothing that `torch.save` writes.
    #[error("it is {looks}")]
    NotPth {
        /// The apparent type of the file, such as "an HTML page".
        looks: String,
    },

    /// The file is a TorchScript archive, as tch writes too.
    #[error(
        "it is a TorchScript archive, as tch's `VarStore::save` (`.ot`) and `torch.jit.save` write: to read it here, \
         write it anew, in Rust with `Tensor::write_safetensors(&Tensor::load_multi(file)?, \"new.safetensors\")`, \
         or in Python with `torch.save(torch.jit.load(file).state_dict(), \"new.pth\")`"
    )]
    TorchScript,

    /// The numbers in the file are big-endian.
    #[error("the file was written on a big-endian machine, which is not supported")]
    BigEndian,

    /// The legacy stream has another version than 1001, the only one there ever was.
    #[error("legacy protocol version {found} is not supported, only 1001")]
    Version {
        /// The version, if it is a number.
        found: String,
    },

    /// The protocol of a pickle is not supported.
    #[error("pickle protocol {found} at offset {offset} is not supported, only 2 to 5")]
    Protocol {
        /// The protocol.
        found: u8,
        /// Its place.
        offset: u64,
    },

    /// A pickle has an instruction that `torch.save` never writes.
    #[error("pickle instruction {opcode:#04x} at offset {offset} is not supported")]
    Opcode {
        /// The instruction.
        opcode: u8,
        /// Its place.
        offset: u64,
    },

    /// A pickle names a class or function that tensors do not need. Neither it nor anything else is run.
    #[error(
        "the pickle asks for `{}` at offset {offset}, which is not among what a state dict may hold{}",
        printable(name),
        advice(name)
    )]
    Global {
        /// The module and the name.
        name: String,
        /// Its place.
        offset: u64,
    },

    /// A pickle takes more from its stack than the stack holds, or takes up to a mark that is missing.
    #[error("the pickle takes from an empty stack at offset {offset}")]
    EmptyStack {
        /// The place of the instruction.
        offset: u64,
    },

    /// A pickle refers to an object that it has not stored.
    #[error("the pickle refers to memo {index}, which is not there, at offset {offset}")]
    Memo {
        /// The number of the object.
        index: u32,
        /// The place of the instruction.
        offset: u64,
    },

    /// A pickle gives an instruction an object of the wrong type.
    #[error("the pickle gives the wrong kind of object to {operation} at offset {offset}")]
    Operand {
        /// The operation.
        operation: &'static str,
        /// The place of the instruction.
        offset: u64,
    },

    /// The objects of a pickle need more memory than any state dict of this file size.
    #[error("the objects in the file need more than {limit} bytes of memory")]
    TooManyObjects {
        /// The limit in bytes; see [the module](super).
        limit: u64,
    },

    /// Containers are nested too deeply, or contain themselves.
    #[error("containers are nested more than {limit} deep, or contain themselves")]
    TooDeep {
        /// The greatest depth.
        limit: usize,
    },

    /// A tensor's shape, strides and offset contradict each other or its storage.
    #[error("the tensor `{}` {problem}", printable(name))]
    View {
        /// The tensor.
        name: String,
        /// The problem.
        problem: &'static str,
    },

    /// A storage is missing or of another size than its tensors say.
    #[error("the storage `{}` {problem}", printable(key))]
    Storage {
        /// The name of the storage.
        key: String,
        /// The problem.
        problem: &'static str,
    },

    /// An archive is damaged, or not written by `torch.save`.
    #[error("the zip archive {problem}")]
    Archive {
        /// The problem.
        problem: &'static str,
    },

    /// An entry of an archive is compressed or encrypted, which `torch.save` never does.
    #[error("`{}` in the zip archive is compressed or encrypted", printable(entry))]
    Compressed {
        /// The name of the entry.
        entry: String,
    },

    /// There is no tensor of that name.
    #[error("the tensor `{}` is missing", printable(name))]
    Missing {
        /// The name.
        name: String,
    },

    /// The tensor of that name is one of the unreadable ones.
    #[error("the tensor {0}")]
    Unreadable(UnreadableTensor),

    /// A tensor repeats its storage so often that it needs far more memory than the file has bytes.
    #[error(
        "the tensor `{}` would need {bytes} bytes, more than the {limit} that a file of this size may ask for",
        printable(name)
    )]
    Expansion {
        /// The tensor.
        name: String,
        /// The bytes that it needs.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },

    /// The tensors share so much of their storages that they are far larger than the file when written out.
    #[error(
        "written out, its tensors take {bytes} bytes, for they share memory in the file, and {limit} are allowed: if \
         that is meant, `ConvertOptions::expand` (on the command line `--expand`) allows any size"
    )]
    SharedStorages {
        /// The bytes of all tensors.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },

    /// Memory for a tensor ran out.
    #[error("not enough memory for {bytes} bytes")]
    Memory {
        /// The bytes that were requested.
        bytes: u64,
    },
}

debug_is_the_message!(PthError);

/// By hand, for `#[from]` would also make it the source: a chain of errors would tell the same twice.
impl From<io::Error> for PthError {
    fn from(error: io::Error) -> PthError {
        PthError::Io(error)
    }
}

/// How to go on, where it is plain what the name is for.
fn advice(name: &str) -> &'static str {
    match name.contains(".nn.modules.") || name.starts_with("torchvision.models.") || name.starts_with("__main__.") {
        true => ": the file holds a whole model; in Python, `torch.save(model.state_dict(), ...)` saves what can be read",
        false => "",
    }
}
