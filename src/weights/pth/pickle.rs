//! Instructions of a pickle to objects: the machine that Python's pickle describes, without the ability to
//! import or call anything.

use std::collections::HashMap;
use std::io::{Read, Seek};

use super::graph::{Global, Graph, Object, Text, Value};
use super::input::{Budget, Input};
use super::PthError;

/// Reads one pickle from the input, up to and including its last instruction.
pub(super) fn load<R: Read + Seek>(input: &mut Input<R>, budget: &mut Budget) -> Result<Graph, PthError> {
    let mut machine = Machine {
        offset: input.position(),
        input,
        budget,
        graph: Graph::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    while machine.step()? {}
    machine.graph.root = machine.pop()?;
    Ok(machine.graph)
}

pub(super) struct Machine<'a, R> {
    /// Where the current instruction is.
    pub(super) offset: u64,
    pub(super) graph: Graph,
    pub(super) budget: &'a mut Budget,
    pub(super) input: &'a mut Input<R>,
    stack: Vec<Value>,
    /// The heights of the stack at which a mark lies.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
}

impl<R: Read + Seek> Machine<'_, R> {
    /// Runs one instruction. False after the last one.
    fn step(&mut self) -> Result<bool, PthError> {
        self.offset = self.input.position();
        let [opcode] = self.input.array()?;
        match opcode {
            // The frame of the pickle.
            0x80 => {
                let [found] = self.input.array()?;
                if !(2..=5).contains(&found) {
                    return Err(PthError::Protocol { found, offset: self.offset });
                }
            }
            0x95 => drop(self.input.array::<8>()?), // a frame's length
            b'.' => return Ok(false),

            // Values.
            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            b'K' => self.int(1)?,
            b'M' => self.int(2)?,
            b'J' => {
                let value = i32::from_le_bytes(self.input.array()?);
                self.push(Value::Int(value.into()))?;
            }
            0x8a => self.long(1)?,
            0x8b => self.long(4)?,
            b'I' => self.decimal()?,
            b'G' => self.skipped(8)?, // a float
            b'U' | 0x8c => self.text(1)?,
            b'T' | b'X' => self.text(4)?,
            0x8d => self.text(8)?,
            b'C' => self.bytes(1)?,
            b'B' => self.bytes(4)?,
            0x8e | 0x96 => self.bytes(8)?,
            b'c' => {
                let (module, name) = (self.line("GLOBAL")?, self.line("GLOBAL")?);
                self.global(module, name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(module), Value::Text(name)) = (module, name) else {
                    return Err(self.operand("STACK_GLOBAL"));
                };
                self.global(module, name)?;
            }

            // Containers.
            b')' => self.tuple(self.stack.len())?,
            0x85..=0x87 => {
                let length = usize::from(opcode - 0x84);
                if self.stack.len() - self.floor() < length {
                    return Err(self.empty_stack());
                }
                self.tuple(self.stack.len() - length)?;
            }
            b't' | 0x91 => {
                let start = self.pop_mark()?;
                self.tuple(start)?;
            }
            b']' | 0x8f => self.add(Object::List(Vec::new()))?,
            b'}' => self.add(Object::Dict(Vec::new()))?,
            b'a' => {
                if self.stack.len() == self.floor() {
                    return Err(self.empty_stack());
                }
                self.append(self.stack.len() - 1)?;
            }
            b'e' | 0x90 => {
                let start = self.pop_mark()?;
                self.append(start)?;
            }
            b's' => {
                if self.stack.len() - self.floor() < 2 {
                    return Err(self.empty_stack());
                }
                self.set_items(self.stack.len() - 2)?;
            }
            b'u' => {
                let start = self.pop_mark()?;
                self.set_items(start)?;
            }

            // The stack and the memo.
            b'(' => self.budget.push(&mut self.marks, self.stack.len())?,
            b'0' if self.stack.len() == self.floor() => drop(self.pop_mark()?),
            b'0' => drop(self.pop()?),
            b'1' => {
                let start = self.pop_mark()?;
                self.stack.truncate(start);
            }
            b'2' => self.push(self.top()?)?,
            b'q' => {
                let index = self.unsigned(1)? as u32;
                self.memoize(index)?;
            }
            b'r' => {
                let index = self.unsigned(4)? as u32;
                self.memoize(index)?;
            }
            0x94 => self.memoize(self.memo.len() as u32)?,
            b'h' => {
                let index = self.unsigned(1)? as u32;
                self.recall(index)?;
            }
            b'j' => {
                let index = self.unsigned(4)? as u32;
                self.recall(index)?;
            }

            // What would be calls.
            b'R' | 0x81 => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                self.call(function, arguments)?;
            }
            0x92 => {
                let (_keywords, arguments, function) = (self.pop()?, self.pop()?, self.pop()?);
                self.call(function, arguments)?;
            }
            // The attributes of an object, such as `_metadata`.
            b'b' => {
                self.pop()?;
                self.top()?;
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = self.persistent(id)?;
                self.push(storage)?;
            }
            opcode => return Err(PthError::Opcode { opcode, offset: self.offset }),
        }
        Ok(true)
    }

    pub(super) fn operand(&self, operation: &'static str) -> PthError {
        PthError::Operand { operation, offset: self.offset }
    }

    fn empty_stack(&self) -> PthError {
        PthError::EmptyStack { offset: self.offset }
    }

    /// What lies below the last mark is out of reach.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    pub(super) fn push(&mut self, value: Value) -> Result<(), PthError> {
        self.budget.push(&mut self.stack, value)
    }

    fn top(&self) -> Result<Value, PthError> {
        self.stack[self.floor()..].last().copied().ok_or_else(|| self.empty_stack())
    }

    fn pop(&mut self) -> Result<Value, PthError> {
        let value = self.top()?;
        self.stack.pop();
        Ok(value)
    }

    fn pop_mark(&mut self) -> Result<usize, PthError> {
        self.marks.pop().ok_or_else(|| self.empty_stack())
    }

    fn add(&mut self, object: Object) -> Result<(), PthError> {
        let value = self.graph.add(object, self.budget)?;
        self.push(value)
    }

    fn memoize(&mut self, index: u32) -> Result<(), PthError> {
        let value = self.top()?;
        if self.memo.insert(index, value).is_none() {
            // A table's growth, as for vectors.
            self.budget.charge(4 * size_of::<(u32, Value)>())?;
        }
        Ok(())
    }

    fn recall(&mut self, index: u32) -> Result<(), PthError> {
        let Some(value) = self.memo.get(&index) else {
            return Err(PthError::Memo { index, offset: self.offset });
        };
        self.push(*value)
    }

    fn global(&mut self, module: Text, name: Text) -> Result<(), PthError> {
        let [module, name] = [module, name].map(|text| String::from_utf8_lossy(self.graph.text(text)));
        let global = Global::find(&module, &name, self.offset)?;
        self.push(Value::Global(global))
    }

    /// What lies from `start` on becomes a tuple.
    fn tuple(&mut self, start: usize) -> Result<(), PthError> {
        let tuple = self.graph.add_tuple(&self.stack[start..], self.budget)?;
        self.stack.truncate(start);
        self.push(tuple)
    }

    /// What lies from `start` on goes to the list before it.
    fn append(&mut self, start: usize) -> Result<(), PthError> {
        let target = self.before(start)?;
        let Some(Object::List(list)) = self.graph.object_mut(target) else {
            return Err(self.operand("APPEND"));
        };
        self.budget.reserve(list, self.stack.len() - start)?;
        list.extend(self.stack.drain(start..));
        Ok(())
    }

    /// What lies from `start` on goes to the dict before it.
    fn set_items(&mut self, start: usize) -> Result<(), PthError> {
        let target = self.before(start)?;
        let items = &self.stack[start..];
        let Some(Object::Dict(dict)) = self.graph.object_mut(target) else {
            return Err(self.operand("SETITEM"));
        };
        if !items.len().is_multiple_of(2) {
            return Err(self.operand("SETITEM"));
        }
        self.budget.reserve(dict, items.len() / 2)?;
        dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        self.stack.truncate(start);
        Ok(())
    }

    fn before(&self, start: usize) -> Result<Value, PthError> {
        self.stack[self.floor()..start].last().copied().ok_or_else(|| self.empty_stack())
    }

    fn call(&mut self, function: Value, arguments: Value) -> Result<(), PthError> {
        let value = self.rebuild(function, arguments)?;
        self.push(value)
    }
}
