//! The machine that reads a pickle's program as data: a stack, a memo, and a heap of containers.

use std::collections::BTreeMap;
use std::rc::Rc;

use candle_core::DType;

use super::{Info, Storage};

/// Most values on the stack and in the memo.
const VALUES: usize = 4 << 20;

/// What a pickle is made of here. Containers are places in the machine's heap: a reference copies nothing, and nothing is
/// ever nested so deep that dropping it overflows the stack.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Mark,
    None,
    Bool,
    Int(i64),
    Float,
    Text(Rc<str>),
    Tuple(usize),
    List(usize),
    /// Keys and values in turn.
    Dict(usize),
    Global(Rc<str>),
    Storage(Rc<Storage>),
    Tensor(Rc<Info>),
}

pub(super) struct Machine<'a> {
    program: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    memo: BTreeMap<u32, Value>,
    heap: Vec<Vec<Value>>,
    /// Values ever put on the heap.
    held: usize,
    /// What every storage is made of, also one that no tensor of the dictionary has.
    storages: BTreeMap<String, DType>,
}

type Answer<T> = std::result::Result<T, String>;

impl<'a> Machine<'a> {
    pub(super) fn new(program: &'a [u8]) -> Self {
        Machine {
            program,
            at: 0,
            stack: Vec::new(),
            memo: BTreeMap::new(),
            heap: Vec::new(),
            held: 0,
            storages: BTreeMap::new(),
        }
    }

    /// How many bytes of the program were read.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// What a storage is made of.
    pub(super) fn storage_of(&self, key: &str) -> Option<DType> {
        self.storages.get(key).copied()
    }

    /// A list of texts.
    pub(super) fn texts(&self, value: &Value) -> Option<Vec<Rc<str>>> {
        let Value::List(list) = value else {
            return None;
        };
        let text = |v: &Value| match v {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        };
        self.heap[*list].iter().map(text).collect()
    }

    /// The dictionary of tensors in a file's value.
    pub(super) fn state(&self, root: &Value) -> Option<BTreeMap<String, Rc<Info>>> {
        let Value::Dict(entries) = root else {
            return None;
        };
        // Before the tensors at the top: beside its weights a training script puts down its best accuracy, which is one.
        let inside = ["state_dict", "model_state_dict", "model"]
            .iter()
            .find_map(|wanted| {
                let mut pairs = self.heap[*entries].chunks_exact(2);
                let pair = pairs.find(|p| matches!(&p[0], Value::Text(k) if **k == **wanted))?;
                self.tensors(&pair[1])
            });
        inside.or_else(|| self.tensors(root))
    }

    /// A dictionary's tensors, if it has any.
    fn tensors(&self, dict: &Value) -> Option<BTreeMap<String, Rc<Info>>> {
        let Value::Dict(entries) = dict else {
            return None;
        };
        let tensors: BTreeMap<_, _> = self.heap[*entries]
            .chunks_exact(2)
            .filter_map(|pair| match pair {
                [Value::Text(key), Value::Tensor(info)] => Some((key.to_string(), info.clone())),
                _ => None,
            })
            .collect();
        Some(tensors).filter(|t| !t.is_empty())
    }

    /// A new container's place.
    fn hold(&mut self, values: Vec<Value>) -> Answer<usize> {
        self.count(values.len() + 1)?;
        self.heap.push(values);
        Ok(self.heap.len() - 1)
    }

    fn count(&mut self, n: usize) -> Answer<()> {
        self.held += n;
        match self.held > VALUES {
            true => Err("its pickle grows without end".into()),
            false => Ok(()),
        }
    }

    fn bytes(&mut self, n: usize) -> Answer<&'a [u8]> {
        let rest = &self.program[self.at..];
        let bytes = rest.get(..n).ok_or("its pickle ends in the middle")?;
        self.at += n;
        Ok(bytes)
    }

    /// A little-endian number of up to eight bytes.
    fn number(&mut self, n: usize) -> Answer<u64> {
        let bytes = self.bytes(n)?.iter().rev();
        Ok(bytes.fold(0, |x, &b| x << 8 | u64::from(b)))
    }

    fn text(&mut self, n: usize) -> Answer<Rc<str>> {
        let text = std::str::from_utf8(self.bytes(n)?);
        Ok(text
            .map_err(|_| "its pickle has a text that is not UTF-8")?
            .into())
    }

    fn line(&mut self) -> Answer<String> {
        let rest = &self.program[self.at..];
        let end = rest.iter().position(|&b| b == b'\n');
        let line = self.bytes(end.ok_or("its pickle ends in the middle")?)?;
        self.at += 1;
        Ok(String::from_utf8_lossy(line).into_owned())
    }

    fn push(&mut self, value: Value) -> Answer<()> {
        if self.stack.len() >= VALUES {
            return Err("its pickle grows without end".into());
        }
        self.stack.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Answer<Value> {
        self.stack
            .pop()
            .ok_or_else(|| "its pickle takes from an empty stack".to_string())
    }

    fn last(&self) -> Answer<&Value> {
        self.stack
            .last()
            .ok_or_else(|| "its pickle takes from an empty stack".to_string())
    }

    /// All values above the last mark, which goes too.
    fn marked(&mut self) -> Answer<Vec<Value>> {
        let at = self.stack.iter().rposition(|v| matches!(v, Value::Mark));
        let at = at.ok_or("its pickle takes from an empty stack")?;
        let values = self.stack.split_off(at + 1);
        self.stack.pop();
        Ok(values)
    }

    fn remember(&mut self, id: u32) -> Answer<()> {
        if self.memo.len() >= VALUES {
            return Err("its pickle grows without end".into());
        }
        let value = self.last()?.clone();
        self.memo.insert(id, value);
        Ok(())
    }

    fn recall(&mut self, id: u32) -> Answer<()> {
        let value = self.memo.get(&id).cloned();
        self.push(value.ok_or("its pickle recalls what it never kept")?)
    }

    fn append(&mut self, values: Vec<Value>) -> Answer<()> {
        let Value::List(list) = *self.last()? else {
            return Err("its pickle appends to what is no list".into());
        };
        self.count(values.len())?;
        self.heap[list].extend(values);
        Ok(())
    }

    fn set(&mut self, values: Vec<Value>) -> Answer<()> {
        let Value::Dict(dict) = *self.last()? else {
            return Err("its pickle sets an item of what is no dictionary".into());
        };
        if !values.len().is_multiple_of(2) {
            return Err("its pickle sets a key without a value".into());
        }
        self.count(values.len())?;
        self.heap[dict].extend(values);
        Ok(())
    }

    pub(super) fn run(&mut self) -> Answer<Value> {
        loop {
            let code = self.bytes(1)?[0];
            match code {
                // Protocol, frame.
                0x80 => drop(self.bytes(1)?),
                0x95 => drop(self.bytes(8)?),
                b'.' => return self.pop(),
                b'(' => self.push(Value::Mark)?,
                b'0' => drop(self.pop()?),
                b'N' => self.push(Value::None)?,
                0x88 | 0x89 => self.push(Value::Bool)?,
                b'J' => {
                    let x = self.number(4)? as u32 as i32;
                    self.push(Value::Int(x.into()))?;
                }
                b'K' => {
                    let x = self.number(1)?;
                    self.push(Value::Int(x as i64))?;
                }
                b'M' => {
                    let x = self.number(2)?;
                    self.push(Value::Int(x as i64))?;
                }
                0x8a => {
                    let n = self.number(1)? as usize;
                    if n > 8 {
                        return Err("its pickle has a number of more than 64 bits".into());
                    }
                    let x = self.number(n)?;
                    let shift = 64 - 8 * n as u32;
                    let x = if n == 0 {
                        0
                    } else {
                        ((x << shift) as i64) >> shift
                    };
                    self.push(Value::Int(x))?;
                }
                b'G' => {
                    self.bytes(8)?;
                    self.push(Value::Float)?;
                }
                b'X' => {
                    let n = self.number(4)? as usize;
                    let text = self.text(n)?;
                    self.push(Value::Text(text))?;
                }
                // Python 2 wrote texts so.
                b'T' => {
                    let n = self.number(4)? as usize;
                    let text = self.text(n)?;
                    self.push(Value::Text(text))?;
                }
                0x8c | b'U' => {
                    let n = self.number(1)? as usize;
                    let text = self.text(n)?;
                    self.push(Value::Text(text))?;
                }
                b')' => {
                    let tuple = self.hold(Vec::new())?;
                    self.push(Value::Tuple(tuple))?;
                }
                b't' => {
                    let values = self.marked()?;
                    let tuple = self.hold(values)?;
                    self.push(Value::Tuple(tuple))?;
                }
                0x85..=0x87 => {
                    let n = usize::from(code - 0x84);
                    let from = self.stack.len().checked_sub(n);
                    let values = self
                        .stack
                        .split_off(from.ok_or("its pickle takes from an empty stack")?);
                    let tuple = self.hold(values)?;
                    self.push(Value::Tuple(tuple))?;
                }
                b']' => {
                    let list = self.hold(Vec::new())?;
                    self.push(Value::List(list))?;
                }
                b'a' => {
                    let value = self.pop()?;
                    self.append(vec![value])?;
                }
                b'e' => {
                    let values = self.marked()?;
                    self.append(values)?;
                }
                b'}' => {
                    let dict = self.hold(Vec::new())?;
                    self.push(Value::Dict(dict))?;
                }
                b's' => {
                    let value = self.pop()?;
                    let key = self.pop()?;
                    self.set(vec![key, value])?;
                }
                b'u' => {
                    let values = self.marked()?;
                    self.set(values)?;
                }
                b'q' => {
                    let id = self.number(1)? as u32;
                    self.remember(id)?;
                }
                b'r' => {
                    let id = self.number(4)? as u32;
                    self.remember(id)?;
                }
                0x94 => self.remember(self.memo.len() as u32)?,
                b'h' => {
                    let id = self.number(1)? as u32;
                    self.recall(id)?;
                }
                b'j' => {
                    let id = self.number(4)? as u32;
                    self.recall(id)?;
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.push(Value::Global(format!("{module}.{name}").into()))?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (Value::Text(module), Value::Text(name)) = (module, name) else {
                        return Err("its pickle names a class by what is no text".into());
                    };
                    self.push(Value::Global(format!("{module}.{name}").into()))?;
                }
                b'Q' => {
                    let id = self.pop()?;
                    let storage = self.storage(&id)?;
                    self.push(storage)?;
                }
                b'R' => {
                    let (arguments, callable) = (self.pop()?, self.pop()?);
                    let made = self.call(&callable, &arguments)?;
                    self.push(made)?;
                }
                // The state of an object: of an ordered dictionary, its metadata.
                b'b' => {
                    self.pop()?;
                    if !matches!(self.last()?, Value::Dict(_)) {
                        return Err(refused("sets the state of an object that is no dictionary"));
                    }
                }
                code => {
                    let what = format!("has the instruction {code:#04x}");
                    return Err(refused(&what));
                }
            }
        }
    }

    /// The only calls there are.
    fn call(&mut self, callable: &Value, arguments: &Value) -> Answer<Value> {
        let Value::Global(name) = callable else {
            return Err(refused("calls what is no function"));
        };
        let Value::Tuple(arguments) = arguments else {
            return Err(refused("calls a function without a list of arguments"));
        };
        let arguments = self.heap[*arguments].clone();
        // A list that is called with again and again is copied as often.
        self.count(arguments.len())?;
        match &**name {
            "collections.OrderedDict" => {
                let items = self.items(&arguments)?;
                Ok(Value::Dict(self.hold(items)?))
            }
            "torch._utils._rebuild_parameter" => match arguments.first() {
                Some(tensor @ Value::Tensor(_)) => Ok(tensor.clone()),
                _ => Err("its pickle makes a parameter of what is no tensor".into()),
            },
            "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor" => {
                match &arguments[..] {
                    [
                        Value::Storage(storage),
                        Value::Int(offset),
                        Value::Tuple(shape),
                        Value::Tuple(stride),
                        ..,
                    ] if self.heap[*shape].len() == self.heap[*stride].len()
                        && self.heap[*shape].len() <= 8 =>
                    {
                        let whole = |values: &[Value]| -> Option<Vec<usize>> {
                            let number = |v: &Value| match v {
                                Value::Int(x) => usize::try_from(*x).ok(),
                                _ => None,
                            };
                            values.iter().map(number).collect()
                        };
                        let numbers = (
                            usize::try_from(*offset),
                            whole(&self.heap[*shape]),
                            whole(&self.heap[*stride]),
                        );
                        let (Ok(offset), Some(shape), Some(stride)) = numbers else {
                            return Err("its pickle has a tensor of a negative size".into());
                        };
                        Ok(Value::Tensor(Rc::new(Info {
                            storage: storage.clone(),
                            offset,
                            shape,
                            stride,
                        })))
                    }
                    _ => {
                        Err("its pickle has a tensor that is not described as PyTorch does".into())
                    }
                }
            }
            name => Err(refused(&format!("calls {name}"))),
        }
    }

    /// Keys and values in turn of what an ordered dictionary is made of: nothing, and items are set later, or a list of pairs, as Python 2 wrote it.
    fn items(&self, arguments: &[Value]) -> Answer<Vec<Value>> {
        let pair = |value: &Value| match value {
            Value::List(pair) | Value::Tuple(pair) => Some(self.heap[*pair].as_slice()),
            _ => None,
        };
        let items = match arguments {
            [] => Some(Vec::new()),
            [Value::List(pairs)] => {
                let pairs = self.heap[*pairs].iter();
                let pairs = pairs.map(|p| pair(p).filter(|p| p.len() == 2));
                pairs.collect::<Option<Vec<_>>>().map(|p| p.concat())
            }
            _ => None,
        };
        items.ok_or_else(|| "its pickle makes a dictionary of what is no list of pairs".into())
    }

    /// `("storage", torch.FloatStorage, "0", "cpu", count)`; before 1.6 with a last element that is None, or a view of another storage, which nothing has
    /// written since 0.4.
    fn storage(&mut self, id: &Value) -> Answer<Value> {
        let broken =
            || "its pickle has a storage that is not described as PyTorch does".to_string();
        let Value::Tuple(parts) = id else {
            return Err(broken());
        };
        let parts = match &self.heap[*parts][..] {
            [parts @ .., Value::None] => parts,
            parts => parts,
        };
        let [
            Value::Text(_),
            Value::Global(class),
            Value::Text(key),
            _,
            Value::Int(count),
        ] = parts
        else {
            return Err(broken());
        };
        let dtype = match class.strip_prefix("torch.") {
            Some("FloatStorage") => DType::F32,
            Some("DoubleStorage") => DType::F64,
            Some("HalfStorage") => DType::F16,
            Some("BFloat16Storage") => DType::BF16,
            Some("LongStorage") => DType::I64,
            Some("IntStorage") => DType::I32,
            Some("ShortStorage") => DType::I16,
            Some("ByteStorage" | "BoolStorage") => DType::U8,
            _ => {
                return Err(format!(
                    "its pickle has numbers of the type {class}, which are not read"
                ));
            }
        };
        let count = usize::try_from(*count).map_err(|_| broken())?;
        let key = key.to_string();
        self.storages.insert(key.clone(), dtype);
        Ok(Value::Storage(Rc::new(Storage { key, dtype, count })))
    }
}

fn refused(what: &str) -> String {
    format!(
        "its pickle {what}, which a dictionary of tensors does not need; nothing of it was executed. If you trust where it comes from, load it in PyTorch and save its state_dict as safetensors"
    )
}
