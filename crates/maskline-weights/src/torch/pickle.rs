//! A pickle machine (protocols 0 to 5) that builds inert values: globals are names, calls are records, nothing runs.
//!
//! Opcodes as in CPython's `Lib/pickletools.py`. The limits are far above what checkpoints use (a large one has 10⁵
//! opcodes), and bound the memory of a hostile one to some hundred megabytes.

use std::borrow::Cow;
use std::collections::HashMap;

use super::construct;
use super::globals;
use super::value::{Global, Id, Object, Storage, Value, Values};
use crate::error::{Error, ErrorKind, Result};

const MAX_PICKLE_BYTES: usize = 256 << 20;
const MAX_OPCODES: usize = 16_000_000;
const MAX_VALUES: usize = 4_000_000;
/// Entries copied from one container to another, over the whole pickle.
const MAX_COPIES: usize = 4_000_000;
const MAX_MEMO: usize = 4_000_000;
const MAX_STACK: usize = 100_000;
const MAX_MARKS: usize = 1_000;
const MAX_INTEGER_BYTES: usize = 1_024;

/// `None`, `False` and `True` exist once.
const NONE: Id = Id(0);
const FALSE: Id = Id(1);
const TRUE: Id = Id(2);

/// Reads a whole pickle; returns the arena and the value it describes.
pub(super) fn load(pickle: &[u8]) -> Result<(Values<'_>, Id)> {
    if pickle.len() > MAX_PICKLE_BYTES {
        return Err(Error::limit(format!("a pickle of {} bytes; at most {MAX_PICKLE_BYTES} are read", pickle.len())));
    }
    let mut machine = Machine::new(pickle);
    let root = machine.run().map_err(|error| match error.kind() {
        ErrorKind::Corrupt => Error::corrupt(format!("damaged pickle at byte {}: {}", machine.position, error.message())),
        _ => error,
    })?;
    Ok((machine.values, root))
}

pub(super) struct Machine<'a> {
    input: &'a [u8],
    position: usize,
    pub(super) values: Values<'a>,
    stack: Vec<Id>,
    /// Heights of the stack at each open `MARK`.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    copies: usize,
}

impl<'a> Machine<'a> {
    fn new(input: &'a [u8]) -> Self {
        let values = Values(vec![Value::None, Value::Bool(false), Value::Bool(true)]);
        Self { input, position: 0, values, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), copies: 0 }
    }

    fn run(&mut self) -> Result<Id> {
        for _ in 0..MAX_OPCODES {
            let opcode = self.byte()?;
            if opcode == b'.' {
                return self.pop();
            }
            let known = self.container(opcode)? || self.stack_or_memo(opcode)? || self.scalar(opcode)? || self.text(opcode)?;
            if !known {
                return Err(Error::corrupt(format!("opcode {opcode:#04x}")));
            }
            if self.stack.len() > MAX_STACK || self.marks.len() > MAX_MARKS {
                return Err(Error::limit("the pickle is nested too deeply"));
            }
        }
        Err(Error::limit(format!("the pickle has more than {MAX_OPCODES} opcodes")))
    }

    /// Lists, tuples, sets, dictionaries, objects.
    fn container(&mut self, opcode: u8) -> Result<bool> {
        match opcode {
            b']' | 0x8f => self.push(Value::List(Vec::new()))?,
            b')' => self.push(Value::Tuple(Vec::new()))?,
            b'}' => self.push(Value::Dict(Vec::new()))?,
            b'l' | 0x91 => {
                let items = self.pop_mark()?;
                self.push(Value::List(items))?;
            }
            b't' => {
                let items = self.pop_mark()?;
                self.push(Value::Tuple(items))?;
            }
            b'd' => {
                let items = self.pop_mark()?;
                self.push(Value::Dict(pairs(&items)?))?;
            }
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(opcode - 0x84))?;
                self.push(Value::Tuple(items))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(&[item])?;
            }
            b'e' | 0x90 => {
                let items = self.pop_mark()?;
                self.append(&items)?;
            }
            b's' => {
                let items = self.pop_many(2)?;
                self.set_items(&items)?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set_items(&items)?;
            }
            b'R' | 0x81 => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                self.call(callable, arguments)?;
            }
            0x92 => {
                let (_keywords, arguments, class) = (self.pop()?, self.pop()?, self.pop()?);
                self.call(class, arguments)?;
            }
            b'o' => {
                let items = self.pop_mark()?;
                let (class, arguments) = items.split_first().ok_or_else(|| Error::corrupt("OBJ without a class"))?;
                let arguments = self.add(Value::Tuple(arguments.to_vec()))?;
                self.call(*class, arguments)?;
            }
            b'b' => self.build()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn stack_or_memo(&mut self, opcode: u8) -> Result<bool> {
        match opcode {
            b'(' => self.marks.push(self.stack.len()),
            b'0' => {
                // POP also removes a mark that lies on top.
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop()?;
                }
            }
            b'1' => {
                self.pop_mark()?;
            }
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'q' => {
                let index = self.byte()?;
                self.memoize(index.into())?;
            }
            b'r' => {
                let index = u32::from_le_bytes(self.array()?);
                self.memoize(index)?;
            }
            0x94 => self.memoize(self.memo.len() as u32)?,
            b'h' => {
                let index = self.byte()?;
                self.recall(index.into())?;
            }
            b'j' => {
                let index = u32::from_le_bytes(self.array()?);
                self.recall(index)?;
            }
            0x80 => {
                let protocol = self.byte()?;
                if protocol > 5 {
                    return Err(Error::new(ErrorKind::Unsupported, format!("pickle protocol {protocol}; at most 5 is read"))
                        .with_help("save it again with torch.save, which uses protocol 2"));
                }
            }
            0x95 => {
                self.take(8)?;
            }
            b'Q' => {
                let id = self.pop()?;
                self.persistent(id)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let text = |id| match self.values.get(id) {
                    Value::Str(text) => Ok(text.clone()),
                    _ => Err(Error::corrupt("STACK_GLOBAL without names")),
                };
                let global = Global { module: text(module)?, name: text(name)? };
                self.global(global)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Binary numbers, strings and bytes.
    fn scalar(&mut self, opcode: u8) -> Result<bool> {
        let value = match opcode {
            b'N' => return self.push_id(NONE),
            0x89 => return self.push_id(FALSE),
            0x88 => return self.push_id(TRUE),
            b'K' => Value::Int(self.byte()?.into()),
            b'M' => Value::Int(u16::from_le_bytes(self.array()?).into()),
            b'J' => Value::Int(i32::from_le_bytes(self.array()?).into()),
            b'G' => Value::Float(f64::from_be_bytes(self.array()?)),
            0x8a => {
                let length = self.byte()?;
                integer(self.take(length.into())?)
            }
            0x8b => match self.length_u32()? {
                length if length > MAX_INTEGER_BYTES => return Err(Error::limit(format!("an integer of {length} bytes"))),
                length => integer(self.take(length)?),
            },
            b'X' | b'T' => {
                let length = self.length_u32()?;
                self.string(length)?
            }
            0x8c | b'U' => {
                let length = self.byte()?;
                self.string(length.into())?
            }
            0x8d => {
                let length = self.length_u64()?;
                self.string(length)?
            }
            b'B' => {
                let length = self.length_u32()?;
                self.opaque(length)?
            }
            b'C' => {
                let length = self.byte()?;
                self.opaque(length.into())?
            }
            0x8e | 0x96 => {
                let length = self.length_u64()?;
                self.opaque(length)?
            }
            0x82..=0x84 | 0x97 | 0x98 => {
                let message = format!("pickle opcode {opcode:#04x} (extension registry or out-of-band buffer)");
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
            _ => return Ok(false),
        };
        self.push(value)?;
        Ok(true)
    }

    /// The opcodes of protocol 0, which end in a line; also `GLOBAL` and `INST`.
    fn text(&mut self, opcode: u8) -> Result<bool> {
        match opcode {
            b'c' | b'i' => {
                let global = Global { module: self.line()?, name: self.line()? };
                self.global(global)?;
                if opcode == b'i' {
                    let class = self.pop()?;
                    let arguments = self.pop_mark()?;
                    let arguments = self.add(Value::Tuple(arguments))?;
                    self.call(class, arguments)?;
                }
            }
            b'I' | b'L' => {
                let line = self.line()?;
                let value = match (opcode, line.as_ref()) {
                    (b'I', "00") => Value::Bool(false),
                    (b'I', "01") => Value::Bool(true),
                    (_, digits) => digits.trim_end_matches('L').parse().map_or(Value::Opaque, Value::Int),
                };
                self.push(value)?;
            }
            b'F' => {
                let number = self.line()?.parse().map_err(|_| Error::corrupt("a number that is none"))?;
                self.push(Value::Float(number))?;
            }
            // Escapes stay as they are written: only Python 2 wrote such strings, and none of them is looked up.
            b'S' => {
                let line = self.line()?;
                let quotes = ['\'', '"'];
                let text = line.strip_prefix(quotes).map_or(line.as_ref(), |rest| rest.strip_suffix(quotes).unwrap_or(rest));
                self.push(Value::Str(text.to_owned().into()))?;
            }
            b'V' => {
                let line = self.line()?;
                self.push(Value::Str(line))?;
            }
            b'P' => {
                self.line()?;
                self.push(Value::Opaque)?;
            }
            b'p' | b'g' => {
                let index = self.line()?.parse().map_err(|_| Error::corrupt("a memo index that is none"))?;
                if opcode == b'p' {
                    self.memoize(index)?
                } else {
                    self.recall(index)?
                };
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn call(&mut self, callable: Id, arguments: Id) -> Result<()> {
        let result = construct::call(self, callable, arguments)?;
        self.stack.push(result);
        Ok(())
    }

    fn build(&mut self) -> Result<()> {
        let state = self.pop()?;
        let object = self.top()?;
        // Dictionaries and tensors get states too (`_metadata` of a state dict): of no interest.
        if let Value::Object(object) = self.values.get_mut(object) {
            object.state = Some(state);
        }
        Ok(())
    }

    fn append(&mut self, items: &[Id]) -> Result<()> {
        let list = self.top()?;
        match self.values.get_mut(list) {
            Value::List(list) => list.extend_from_slice(items),
            // Items of a list subclass.
            Value::Object(_) | Value::Opaque => {}
            _ => return Err(Error::corrupt("APPEND to something that is no list")),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<()> {
        let pairs = pairs(items)?;
        let dict = self.top()?;
        match self.values.get_mut(dict) {
            Value::Dict(entries) => entries.extend(pairs),
            Value::Object(object) => object.items.extend(pairs),
            Value::Opaque => {}
            _ => return Err(Error::corrupt("SETITEM on something that is no dictionary")),
        }
        Ok(())
    }

    /// `('storage', class, key, device, count)`: the only persistent id that PyTorch writes.
    fn persistent(&mut self, id: Id) -> Result<()> {
        let value = match self.values.sequence(id) {
            Some(&[tag, class, key, _device, count]) if self.values.str(tag) == Some("storage") => {
                let class = self.values.global(class).ok_or_else(|| Error::corrupt("a storage without a class"))?;
                Value::Storage(Box::new(Storage { class: class.name.clone(), key, count }))
            }
            _ => Value::Opaque,
        };
        self.push(value)
    }

    fn global(&mut self, global: Global<'a>) -> Result<()> {
        if let Some(error) = globals::refuse(&global) {
            return Err(error);
        }
        self.push(Value::Global(Box::new(global)))
    }

    pub(super) fn add(&mut self, value: Value<'a>) -> Result<Id> {
        if self.values.0.len() >= MAX_VALUES {
            return Err(Error::limit(format!("the pickle has more than {MAX_VALUES} values")));
        }
        self.values.0.push(value);
        Ok(Id(self.values.0.len() as u32 - 1))
    }

    /// Accounts for entries that are copied: the only work that is not bounded by the number of opcodes.
    pub(super) fn charge(&mut self, copies: usize) -> Result<()> {
        self.copies = self.copies.saturating_add(copies);
        if self.copies > MAX_COPIES {
            return Err(Error::limit(format!("the pickle copies more than {MAX_COPIES} entries")));
        }
        Ok(())
    }

    pub(super) fn add_object(&mut self, class: Id) -> Result<Id> {
        self.add(Value::Object(Box::new(Object { class, state: None, items: Vec::new() })))
    }

    fn push(&mut self, value: Value<'a>) -> Result<()> {
        let id = self.add(value)?;
        self.stack.push(id);
        Ok(())
    }

    fn push_id(&mut self, id: Id) -> Result<bool> {
        self.stack.push(id);
        Ok(true)
    }

    /// The lowest height that may be popped: what lies under a mark belongs to it.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id> {
        match self.stack.last() {
            Some(top) if self.stack.len() > self.floor() => Ok(*top),
            _ => Err(Error::corrupt("empty stack")),
        }
    }

    fn pop(&mut self) -> Result<Id> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Id>> {
        match self.stack.len().checked_sub(count) {
            Some(start) if start >= self.floor() => Ok(self.stack.split_off(start)),
            _ => Err(Error::corrupt("empty stack")),
        }
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>> {
        let start = self.marks.pop().ok_or_else(|| Error::corrupt("no mark"))?;
        Ok(self.stack.split_off(start))
    }

    fn memoize(&mut self, index: u32) -> Result<()> {
        let top = self.top()?;
        if self.memo.len() >= MAX_MEMO {
            return Err(Error::limit(format!("the pickle has more than {MAX_MEMO} memo entries")));
        }
        self.memo.insert(index, top);
        Ok(())
    }

    fn recall(&mut self, index: u32) -> Result<()> {
        let id = self.memo.get(&index).ok_or_else(|| Error::corrupt(format!("no memo entry {index}")))?;
        self.stack.push(*id);
        Ok(())
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let bytes = self.input[self.position..].get(..length).ok_or_else(|| Error::corrupt("it ends in the middle"))?;
        self.position += length;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.take(N)?;
        Ok(*bytes.first_chunk().expect("take returns as many bytes as asked for"))
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    fn length_u32(&mut self) -> Result<usize> {
        usize::try_from(u32::from_le_bytes(self.array()?)).map_err(|_| Error::corrupt("a length beyond the address space"))
    }

    fn length_u64(&mut self) -> Result<usize> {
        usize::try_from(u64::from_le_bytes(self.array()?)).map_err(|_| Error::corrupt("a length beyond the address space"))
    }

    fn string(&mut self, length: usize) -> Result<Value<'a>> {
        // Python may write lone surrogates, which are no UTF-8.
        Ok(Value::Str(String::from_utf8_lossy(self.take(length)?)))
    }

    fn opaque(&mut self, length: usize) -> Result<Value<'a>> {
        self.take(length)?;
        Ok(Value::Opaque)
    }

    fn line(&mut self) -> Result<Cow<'a, str>> {
        let rest = &self.input[self.position..];
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| Error::corrupt("it ends in the middle"))?;
        self.position += end + 1;
        Ok(String::from_utf8_lossy(rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end])))
    }
}

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>> {
    let (pairs, rest) = items.as_chunks::<2>();
    if rest.is_empty() {
        Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
    } else {
        Err(Error::corrupt("a key without a value"))
    }
}

/// Little-endian two's complement of any length.
fn integer(bytes: &[u8]) -> Value<'static> {
    if bytes.len() > 8 {
        return Value::Opaque;
    }
    let sign = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut wide = [if sign { 0xff } else { 0 }; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(wide))
}
