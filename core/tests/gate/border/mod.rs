//! The host's side of `gate.h`: compiles and loads the library, and lends tensors for a call.

use std::ffi::{CStr, c_char, c_void};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use candle_core::Tensor;
use tlkit_core::nn::{Init, Role};
use tlkit_core::strategy::ParamSpec;
use tlkit_core::{Error, Result};

/// `GATE_ERROR`.
const ERROR: usize = 256;
/// `GATE_VERSION`.
const VERSION: u32 = 1;

#[repr(C)]
pub struct Matrix {
    data: *const f32,
    rows: u64,
    columns: u64,
}

impl Matrix {
    /// Its first number.
    pub fn data(&self) -> *const f32 {
        self.data
    }
}

#[repr(C)]
pub struct CParam {
    name: *const c_char,
    rows: u64,
    columns: u64,
    role: u32,
    deviation: f32,
}

#[repr(C)]
pub struct CStage {
    size: u64,
    version: u32,
    params: u32,
    param: *const CParam,
    pub inputs: u64,
    pub outputs: u64,
    pub forward: extern "C-unwind" fn(
        *const Matrix,
        *const Matrix,
        *mut f32,
        *mut *mut c_void,
        *mut c_char,
    ) -> i32,
    pub vjp: extern "C-unwind" fn(
        *mut c_void,
        *const Matrix,
        *const f32,
        *mut f32,
        *const *mut f32,
        *mut c_char,
    ) -> i32,
    pub drop: extern "C-unwind" fn(*mut c_void),
}

#[repr(C)]
pub struct CLoss {
    size: u64,
    version: u32,
    params: u32,
    param: *const CParam,
    taps: u32,
    tap: *const *const c_char,
    pub value_and_gradients: extern "C-unwind" fn(
        *const Matrix,
        *const Matrix,
        *mut f64,
        *const *mut f32,
        *const *mut f32,
        *mut c_char,
    ) -> i32,
}

#[repr(C)]
struct CPlugin {
    size: u64,
    version: u32,
    stage: *const CStage,
    loss: *const CLoss,
}

// SAFETY: the tables are constants of a library that is never unloaded, and gate.h allows calls from any thread.
unsafe impl Sync for CStage {}
// SAFETY: as above.
unsafe impl Sync for CLoss {}

/// The tables, for the life of the process. Compiled on first use, by the machine's C compiler.
pub fn library() -> (&'static CStage, &'static CLoss) {
    static LOADED: OnceLock<(&'static CStage, &'static CLoss)> = OnceLock::new();
    *LOADED.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gate/border/gate.c");
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let file = dir.join(format!("gate-{}.so", std::process::id()));
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
        let flags = [
            "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o",
        ];
        let compiled = Command::new(compiler)
            .args(flags)
            .arg(&file)
            .arg(source)
            .arg("-lm")
            .status();
        assert!(
            compiled.expect("a C compiler").success(),
            "gate.c does not compile"
        );
        // SAFETY: the library was compiled a moment ago and has no initialisers.
        let library = unsafe { libloading::Library::new(&file) }.expect("the library");
        std::fs::remove_file(&file).expect("my own file");
        // SAFETY: this is the symbol's type in gate.h.
        let entry =
            unsafe { library.get::<extern "C-unwind" fn() -> *const CPlugin>(b"gate_plugin_v1\0") };
        let plugin = entry.expect("the entry")();
        // Never unloaded: the tables stay.
        std::mem::forget(library);
        // SAFETY: gate.h promises tables that live as long as the library; their sizes and versions are checked before more is read.
        unsafe {
            assert!((*plugin).size >= size_of::<CPlugin>() as u64 && (*plugin).version == VERSION);
            let (stage, loss) = (&*(*plugin).stage, &*(*plugin).loss);
            assert!(stage.size >= size_of::<CStage>() as u64 && stage.version == VERSION);
            assert!(loss.size >= size_of::<CLoss>() as u64 && loss.version == VERSION);
            (stage, loss)
        }
    })
}

fn text(s: *const c_char) -> String {
    // SAFETY: gate.h: names are zero-terminated and live as long as the library.
    unsafe { CStr::from_ptr(s) }.to_string_lossy().into_owned()
}

fn specs(param: *const CParam, n: u32) -> Vec<ParamSpec> {
    // SAFETY: gate.h: `params` of them, for the life of the library.
    let all = unsafe { std::slice::from_raw_parts(param, n as usize) };
    let spec = |p: &CParam| ParamSpec {
        name: text(p.name),
        shape: match p.rows {
            0 => vec![p.columns as usize],
            rows => vec![rows as usize, p.columns as usize],
        },
        role: if p.role == 1 {
            Role::Bias
        } else {
            Role::Weight
        },
        init: match p.deviation {
            0.0 => Init::Zeros,
            d => Init::Normal(d.into()),
        },
    };
    all.iter().map(spec).collect()
}

impl CStage {
    pub fn specs(&self) -> Vec<ParamSpec> {
        specs(self.param, self.params)
    }
}

impl CLoss {
    pub fn specs(&self) -> Vec<ParamSpec> {
        specs(self.param, self.params)
    }

    pub fn tap_names(&self) -> Vec<String> {
        // SAFETY: gate.h: `taps` names, for the life of the library.
        let names = unsafe { std::slice::from_raw_parts(self.tap, self.taps as usize) };
        names.iter().map(|&n| text(n)).collect()
    }
}

/// Lends tensors for a call: `f` sees them as matrices, in their order. None is copied that is contiguous; all are read-locked while `f` runs.
pub fn lend<R>(tensors: &[Tensor], f: impl FnOnce(&[Matrix]) -> R) -> Result<R> {
    fn go<R>(rest: &[Tensor], lent: &mut Vec<Matrix>, f: impl FnOnce(&[Matrix]) -> R) -> Result<R> {
        let Some((first, rest)) = rest.split_first() else {
            return Ok(f(lent));
        };
        let columns = first.dims().last().copied().unwrap_or(1) as u64;
        let rows = first.elem_count() as u64 / columns.max(1);
        let first = first.contiguous()?;
        let deeper: Box<dyn FnOnce(&[Matrix]) -> R + '_> = Box::new(f);
        tlkit_ops::with_ref(&first, |data: &[f32]| {
            lent.push(Matrix {
                data: data.as_ptr(),
                rows,
                columns,
            });
            go(rest, lent, deeper)
        })?
    }
    go(tensors, &mut Vec::new(), f)
}

/// Blocks for as many numbers as each tensor has.
pub fn blocks(like: &[Tensor]) -> Vec<Vec<f32>> {
    like.iter().map(|t| vec![0.0; t.elem_count()]).collect()
}

pub fn pointers(blocks: &mut [Vec<f32>]) -> Vec<*mut f32> {
    blocks.iter_mut().map(|b| b.as_mut_ptr()).collect()
}

/// Blocks as tensors of the given shapes.
pub fn tensors(blocks: Vec<Vec<f32>>, like: &[Tensor]) -> Result<Vec<Tensor>> {
    let one = |(b, t): (Vec<f32>, &Tensor)| Ok(Tensor::from_vec(b, t.dims(), t.device())?);
    blocks.into_iter().zip(like).map(one).collect()
}

/// Calls into C: what it wrote as an error becomes one.
pub fn call(f: impl FnOnce(*mut c_char) -> i32) -> Result<()> {
    let mut error = [0u8; ERROR];
    if f(error.as_mut_ptr().cast()) == 0 {
        return Ok(());
    }
    let said = CStr::from_bytes_until_nul(&error).map(|s| s.to_string_lossy().into_owned());
    Err(Error::msg(
        said.unwrap_or_else(|_| "an error without an end".into()),
    ))
}
