//! What can be wrong with a `.pth` file.

use std::io;

/// What is wrong with a `.pth` file. Offsets are in bytes from the start of the file.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum PthError {
    /// The operating system could not read on.
    #[error("reading failed: {0}")]
    Io(#[from] io::Error),

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

    /// Neither an archive nor a stream of pickles that begins as `torch.save` begins it.
    #[error("not a file that torch.save wrote")]
    NotPth,

    /// A tar file, PyTorch's format before version 0.1.10 (2017).
    #[error(
        "a tar file, the format of PyTorch before 0.1.10, which is not supported; \
         load and save it with a newer PyTorch"
    )]
    Tar,

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
        "the pickle asks for `{name}` at offset {offset}, which is not among what a state dict may hold"
    )]
    Global {
        /// The module and the name.
        name: String,
        /// Where it is.
        offset: u64,
    },

    /// Tensors of this dtype or sort cannot be represented.
    #[error("{what} at offset {offset} cannot be read")]
    Unsupported {
        /// The dtype or sort.
        what: String,
        /// Where the pickle asks for it.
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

    /// A tensor has no usable name: it is below a key that is neither text nor a number, or not UTF-8.
    #[error("below `{prefix}` is a key that cannot be part of a tensor's name")]
    Key {
        /// The name of what holds the key.
        prefix: String,
    },

    /// Two tensors have the same name.
    #[error("there are two tensors `{name}`")]
    DuplicateName {
        /// The name.
        name: String,
    },

    /// A tensor's shape, strides and offset contradict each other or its storage.
    #[error("the tensor `{name}` {problem}")]
    View {
        /// The tensor.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },

    /// A storage is missing or of another size than its tensors say.
    #[error("the storage `{key}` {problem}")]
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
    #[error("`{entry}` in the zip archive is compressed or encrypted")]
    Compressed {
        /// The name of the entry.
        entry: String,
    },

    /// There is no tensor of that name.
    #[error("the tensor `{name}` is missing")]
    Missing {
        /// The name.
        name: String,
    },

    /// A tensor repeats its storage so often that it needs far more memory than the file has bytes.
    #[error(
        "the tensor `{name}` would need {bytes} bytes, \
         more than the {limit} that a file of this size may ask for"
    )]
    Expansion {
        /// The tensor.
        name: String,
        /// What it would need.
        bytes: u64,
        /// What it may need.
        limit: u64,
    },

    /// There is not enough memory for a tensor.
    #[error("not enough memory for {bytes} bytes")]
    Memory {
        /// How much was asked for.
        bytes: u64,
    },
}
