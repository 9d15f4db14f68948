//! Instructions of a pickle that push a number or a text.

use std::io::{Read, Seek};

use super::graph::{Text, Value};
use super::pickle::Machine;
use super::PthError;

/// 0x1950a86a20f9469cfc6c, the number that every legacy file begins with, as a pickle has it.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Longer strings are no names; they are skipped.
const LONGEST_TEXT: u64 = 1 << 16;

impl<R: Read + Seek> Machine<'_, R> {
    /// The next `size` bytes as a number.
    pub(super) fn unsigned(&mut self, size: usize) -> Result<u64, PthError> {
        let mut bytes = [0; 8];
        self.input.read(&mut bytes[..size])?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub(super) fn int(&mut self, size: usize) -> Result<(), PthError> {
        let value = self.unsigned(size)?;
        self.push(Value::Int(value as i64))
    }

    /// A signed number of any size.
    pub(super) fn long(&mut self, prefix: usize) -> Result<(), PthError> {
        let size = self.unsigned(prefix)?;
        if size > MAGIC.len() as u64 {
            return self.skipped(size);
        }
        let mut bytes = [0; MAGIC.len()];
        let bytes = &mut bytes[..size as usize];
        self.input.read(bytes)?;
        let value = if *bytes == MAGIC {
            Value::Magic
        } else if bytes.len() > 8 {
            Value::Opaque
        } else {
            let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
            let mut extended = [if negative { 0xff } else { 0 }; 8];
            extended[..bytes.len()].copy_from_slice(bytes);
            Value::Int(i64::from_le_bytes(extended))
        };
        self.push(value)
    }

    pub(super) fn skipped(&mut self, size: u64) -> Result<(), PthError> {
        self.input.skip(size)?;
        self.push(Value::Opaque)
    }

    pub(super) fn bytes(&mut self, prefix: usize) -> Result<(), PthError> {
        let size = self.unsigned(prefix)?;
        self.skipped(size)
    }

    pub(super) fn text(&mut self, prefix: usize) -> Result<(), PthError> {
        let len = self.unsigned(prefix)?;
        if len > LONGEST_TEXT {
            return self.skipped(len);
        }
        let (text, bytes) = self.graph.add_text(len as usize, self.budget)?;
        self.input.read(bytes)?;
        self.push(Value::Text(text))
    }

    /// A number in decimal digits: Python 2's form of one beyond 32 bits, and with leading zeros of a bool.
    pub(super) fn decimal(&mut self) -> Result<(), PthError> {
        let line = self.line("INT")?;
        let digits = self.graph.text(line).trim_ascii();
        let value = match digits {
            b"00" => Value::Bool(false),
            b"01" => Value::Bool(true),
            _ => match std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()) {
                Some(value) => Value::Int(value),
                None if is_decimal(digits) => Value::Opaque,
                None => return Err(self.operand("INT")),
            },
        };
        self.push(value)
    }

    /// The text up to the end of the line.
    pub(super) fn line(&mut self, operation: &'static str) -> Result<Text, PthError> {
        let mut line = Vec::new();
        loop {
            match self.input.array()? {
                [b'\n'] => break,
                [byte] => line.push(byte),
            }
            if line.len() as u64 > LONGEST_TEXT {
                return Err(self.operand(operation));
            }
        }
        let (text, bytes) = self.graph.add_text(line.len(), self.budget)?;
        bytes.copy_from_slice(&line);
        Ok(text)
    }
}

/// Whether it is a whole number, of any size.
fn is_decimal(digits: &[u8]) -> bool {
    let digits = digits.strip_prefix(b"-").unwrap_or(digits);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}
