//! PyTorch's `.pth` and `.pt` files: a zip archive with a pickle that says which tensors there are, and their bytes beside it.
//!
//! A pickle is a program, and Python's own reader runs it: whoever sends a checkpoint may run anything. Here nothing is run. The
//! few instructions that a dictionary of tensors is made of are read as data; a call of anything but the three functions that
//! rebuild tensors is an error that names what was to be called. (Candle's reader runs nothing either, but copies on every
//! reference, so that a small file can fill the memory, and panics on short arguments.)

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::rc::Rc;

use candle_core::{DType, Device, Tensor};
use tlkit_core::{Error, Result};

/// Largest pickle that is read. That of a ResNet-152 has 100 KB.
const PICKLE: u64 = 64 << 20;
/// Most values on the stack and in the memo.
const VALUES: usize = 4 << 20;

/// Every tensor of a file, by name. Where the file holds more than a dictionary of tensors, the one under `state_dict`,
/// `model_state_dict` or `model`.
pub(crate) fn read(file: &str, bytes: &[u8]) -> Result<BTreeMap<String, Tensor>> {
    let broken =
        |e: &dyn std::fmt::Display| Error::msg(format!("{file}: not a whole PyTorch file ({e})"));
    if bytes.starts_with(&[0x80]) {
        return Err(Error::msg(format!(
            "{file}: written by PyTorch before 1.6, which this tool does not read; load it there and save it again, best as safetensors"
        )));
    }
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| broken(&e))?;
    let mut names = Vec::with_capacity(zip.len());
    for i in 0..zip.len() {
        let entry = zip.by_index_raw(i).map_err(|e| broken(&e))?;
        names.push(String::from_utf8_lossy(entry.name_raw()).into_owned());
    }
    let Some(pickle) = names.iter().position(|n| n.ends_with("data.pkl")) else {
        return Err(broken(&"no data.pkl in it"));
    };
    let folder = names[pickle].trim_end_matches("data.pkl").to_string();
    let mut program = Vec::new();
    zip.by_index(pickle)
        .map_err(|e| broken(&e))?
        .take(PICKLE + 1)
        .read_to_end(&mut program)
        .map_err(|e| broken(&e))?;
    if program.len() as u64 > PICKLE {
        return Err(broken(&"its data.pkl is over 64 MiB"));
    }
    let mut machine = Machine::new(&program);
    let root = machine
        .run()
        .map_err(|why| Error::msg(format!("{file}: {why}")))?;
    let mut tensors = BTreeMap::new();
    let mut storages: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (name, info) in machine
        .state(&root)
        .ok_or_else(|| broken(&"no dictionary of tensors in it"))?
    {
        let storage = &info.storage;
        if !storages.contains_key(&storage.key) {
            let wanted = format!("{folder}data/{}", storage.key);
            let at = names.iter().position(|n| *n == wanted);
            let at = at.ok_or_else(|| broken(&format!("no {wanted} in it")))?;
            let size = storage.count as u64 * storage.dtype.size_in_bytes() as u64;
            let mut data = Vec::new();
            zip.by_index(at)
                .map_err(|e| broken(&e))?
                .take(size)
                .read_to_end(&mut data)
                .map_err(|e| broken(&e))?;
            if data.len() as u64 != size {
                let why = format!("{wanted} has {} of {size} bytes", data.len());
                return Err(broken(&why));
            }
            storages.insert(storage.key.clone(), data);
        }
        let tensor = info
            .tensor(&storages[&storage.key])
            .map_err(|why| Error::msg(format!("{file}: {name}: {why}")))?;
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

/// A run of numbers beside the pickle.
#[derive(Debug)]
struct Storage {
    key: String,
    dtype: DType,
    count: usize,
}

/// A view of a storage.
#[derive(Debug)]
struct Info {
    storage: Rc<Storage>,
    offset: usize,
    shape: Vec<usize>,
    stride: Vec<usize>,
}

impl Info {
    fn tensor(&self, data: &[u8]) -> std::result::Result<Tensor, String> {
        let (shape, size) = (&self.shape, self.storage.dtype.size_in_bytes());
        let outside = || format!("a tensor of shape {shape:?} that lies outside its storage");
        let count = shape
            .iter()
            .try_fold(1usize, |n, &d| n.checked_mul(d))
            .ok_or_else(outside)?;
        if count == 0 {
            return Tensor::zeros(&shape[..], self.storage.dtype, &Device::Cpu)
                .map_err(|e| e.to_string());
        }
        let last = shape
            .iter()
            .zip(&self.stride)
            .try_fold(self.offset, |at, (&d, &s)| {
                at.checked_add((d - 1).checked_mul(s)?)
            })
            .filter(|&last| last < self.storage.count)
            .ok_or_else(outside)?;
        let mut expected = 1;
        let contiguous = shape.iter().zip(&self.stride).rev().all(|(&d, &s)| {
            let fits = d == 1 || s == expected;
            expected *= d;
            fits
        });
        let raw = |bytes: &[u8]| {
            Tensor::from_raw_buffer(bytes, self.storage.dtype, shape, &Device::Cpu)
                .map_err(|e| e.to_string())
        };
        if contiguous {
            return raw(&data[self.offset * size..(last + 1) * size]);
        }
        // No more numbers than the storage has: an expanded view would be a bomb.
        if count > self.storage.count {
            return Err(outside());
        }
        let mut bytes = Vec::with_capacity(count * size);
        let mut at = vec![0usize; shape.len()];
        for _ in 0..count {
            let place: usize = at.iter().zip(&self.stride).map(|(i, s)| i * s).sum();
            let from = (self.offset + place) * size;
            bytes.extend_from_slice(&data[from..from + size]);
            for (i, &d) in at.iter_mut().zip(shape).rev() {
                *i += 1;
                if *i < d {
                    break;
                }
                *i = 0;
            }
        }
        raw(&bytes)
    }
}

/// What a pickle is made of here. Containers are places in the machine's heap: a reference copies nothing, and nothing is
/// ever nested so deep that dropping it overflows the stack.
#[derive(Clone, Debug)]
enum Value {
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

struct Machine<'a> {
    program: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    memo: BTreeMap<u32, Value>,
    heap: Vec<Vec<Value>>,
    /// Values ever put on the heap.
    held: usize,
}

type Answer<T> = std::result::Result<T, String>;

impl<'a> Machine<'a> {
    fn new(program: &'a [u8]) -> Self {
        Machine {
            program,
            at: 0,
            stack: Vec::new(),
            memo: BTreeMap::new(),
            heap: Vec::new(),
            held: 0,
        }
    }

    /// The dictionary of tensors in a file's value.
    fn state(&self, root: &Value) -> Option<BTreeMap<String, Rc<Info>>> {
        if let Some(tensors) = self.tensors(root) {
            return Some(tensors);
        }
        let Value::Dict(entries) = root else {
            return None;
        };
        ["state_dict", "model_state_dict", "model"]
            .iter()
            .find_map(|wanted| {
                let mut pairs = self.heap[*entries].chunks_exact(2);
                let pair = pairs.find(|p| matches!(&p[0], Value::Text(k) if **k == **wanted))?;
                self.tensors(&pair[1])
            })
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

    fn run(&mut self) -> Answer<Value> {
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
                0x8c => {
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
        match &**name {
            "collections.OrderedDict" => Ok(Value::Dict(self.hold(Vec::new())?)),
            "torch._utils._rebuild_parameter" => match arguments.first() {
                Some(tensor @ Value::Tensor(_)) => Ok(tensor.clone()),
                _ => Err("its pickle makes a parameter of what is no tensor".into()),
            },
            "torch._utils._rebuild_tensor_v2" => match &arguments[..] {
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
                _ => Err("its pickle has a tensor that is not described as PyTorch does".into()),
            },
            name => Err(refused(&format!("calls {name}"))),
        }
    }

    /// `("storage", torch.FloatStorage, "0", "cpu", count)`
    fn storage(&self, id: &Value) -> Answer<Value> {
        let broken =
            || "its pickle has a storage that is not described as PyTorch does".to_string();
        let Value::Tuple(parts) = id else {
            return Err(broken());
        };
        let [
            Value::Text(_),
            Value::Global(class),
            Value::Text(key),
            _,
            Value::Int(count),
        ] = &self.heap[*parts][..]
        else {
            return Err(broken());
        };
        let dtype = match class.strip_prefix("torch.") {
            Some("FloatStorage") => DType::F32,
            Some("DoubleStorage") => DType::F64,
            Some("HalfStorage") => DType::F16,
            Some("BFloat16Storage") => DType::BF16,
            Some("LongStorage") => DType::I64,
            Some("ByteStorage") => DType::U8,
            _ => {
                return Err(format!(
                    "its pickle has numbers of the type {class}, which are not read"
                ));
            }
        };
        let count = usize::try_from(*count).map_err(|_| broken())?;
        Ok(Value::Storage(Rc::new(Storage {
            key: key.to_string(),
            dtype,
            count,
        })))
    }
}

fn refused(what: &str) -> String {
    format!(
        "its pickle {what}, which a dictionary of tensors does not need; nothing of it was executed. If you trust where it comes from, load it in PyTorch and save its state_dict as safetensors"
    )
}
