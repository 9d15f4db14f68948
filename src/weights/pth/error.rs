//! What can be wrong with a `.pth` file.

use std::io;

use super::UnreadableTensor;
use crate::base::debug_is_the_message;
use crate::printable;

/// What is wrong with a `.pth` file. Offsets are in bytes from the start of the file.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum PthError {
    /// The operating system could not read on.
    #[error("reading failed: {0}")]
    Io(io::Error),

    /// Something is said to lie beyond the end of the file, or of the archive's entry that holds it.
    #[error(
        "{wanted} bytes are needed at offset {offset}, but the data end at {end}: \
         the file is damaged or incomplete"
    )]
    Truncated {
        /// Where they should begin.
        offset: u64,
        /// How many.
        wanted: u64,
        /// Where the file, or the part of it that should hold them, ends.
        end: u64,
    },

    /// Something else than what `torch.save` writes.
    #[error("it is {looks}")]
    NotPth {
        /// What it seems to be, as "an HTML page".
        looks: String,
    },

    /// A TorchScript archive, which is also what tch writes.
    #[error(
        "it is a TorchScript archive, as tch's `VarStore::save` (`.ot`) and `torch.jit.save` write: to read it here, \
         write it anew, in Rust with `Tensor::write_safetensors(&Tensor::load_multi(file)?, \"new.safetensors\")`, \
         or in Python with `torch.save(torch.jit.load(file).state_dict(), \"new.pth\")`"
    )]
    TorchScript,

    /// The numbers are stored with the most significant byte first.
    #[error("the file was written on a big-endian machine, which is not supported")]
    BigEndian,

    /// The legacy stream has another version than the only one there ever was.
    #[error("legacy protocol version {found} is not supported, only 1001")]
    Version {
        /// The version, where it is a number.
        found: String,
    },

    /// The pickle is of a protocol that is not supported.
    #[error("pickle protocol {found} at offset {offset} is not supported, only 2 to 5")]
    Protocol {
        /// The protocol.
        found: u8,
        /// Where it is.
        offset: u64,
    },

    /// A pickle has an instruction that `torch.save` never writes.
    #[error("pickle instruction {opcode:#04x} at offset {offset} is not supported")]
    Opcode {
        /// The instruction.
        opcode: u8,
        /// Where it is.
        offset: u64,
    },

    /// A pickle names a class or function that is not needed for tensors. It is not run, and nothing else is.
    #[error(
        "the pickle asks for `{}` at offset {offset}, which is not among what a state dict may hold{}",
        printable(name),
        advice(name)
    )]
    Global {
        /// The module and the name.
        name: String,
        /// Where it is.
        offset: u64,
    },

    /// A pickle takes more from its stack than there is, or a mark that is not there.
    #[error("the pickle takes from an empty stack at offset {offset}")]
    EmptyStack {
        /// Where the instruction is.
        offset: u64,
    },

    /// A pickle refers to an object that it has not stored.
    #[error("the pickle refers to memo {index}, which is not there, at offset {offset}")]
    Memo {
        /// The number of the object.
        index: u32,
        /// Where the instruction is.
        offset: u64,
    },

    /// An instruction of a pickle is given an object that it does not work on.
    #[error("the pickle gives the wrong kind of object to {operation} at offset {offset}")]
    Operand {
        /// What was to be done.
        operation: &'static str,
        /// Where the instruction is.
        offset: u64,
    },

    /// The objects of a pickle need more memory than any state dict of the file's size.
    #[error("the objects in the file need more than {limit} bytes of memory")]
    TooManyObjects {
        /// What they may need, see [`PthFile`](super::PthFile).
        limit: u64,
    },

    /// Containers are nested too deeply, or contain themselves.
    #[error("containers are nested more than {limit} deep, or contain themselves")]
    TooDeep {
        /// How deep they may be.
        limit: usize,
    },

    /// A tensor's shape, strides and offset contradict each other or its storage.
    #[error("the tensor `{}` {problem}", printable(name))]
    View {
        /// The tensor.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },

    /// A storage is missing or of another size than its tensors say.
    #[error("the storage `{}` {problem}", printable(key))]
    Storage {
        /// The name of the storage.
        key: String,
        /// What is wrong with it.
        problem: &'static str,
    },

    /// An archive is damaged, or is not one of `torch.save`.
    #[error("the zip archive {problem}")]
    Archive {
        /// What is wrong with it.
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

    /// The tensor of that name cannot be read.
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
        /// What it would need.
        bytes: u64,
        /// What it may need.
        limit: u64,
    },

    /// The tensors share so much of their storages that, written out, they are far larger than the file.
    #[error(
        "written out, its tensors take {bytes} bytes, for they share memory in the file, and {limit} are allowed: if \
         that is meant, `ConvertOptions::expand` (on the command line `--expand`) allows any size"
    )]
    SharedStorages {
        /// What the tensors are together.
        bytes: u64,
        /// What they may be.
        limit: u64,
    },

    /// There is not enough memory for a tensor.
    #[error("not enough memory for {bytes} bytes")]
    Memory {
        /// How much was asked for.
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
