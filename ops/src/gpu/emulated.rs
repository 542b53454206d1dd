//! The kernels on the processor, for the tests: compiled as C++ (`emulated.h`), and called through the launches that a GPU gets.
//!
//! Every launch is made twice, with threads and blocks in opposite orders, and must give the same bits. Every tensor that a kernel is given is a
//! copy between two guards, which are NaN in the first launch and small numbers in the second: what a kernel reads beyond an end makes the
//! launches differ, and what it writes there is found.

use super::{Arg, Gemm, Grid};
use candle_core::{CpuStorage, DType, Device, InplaceOp1, Layout, Result, Shape, Storage, Tensor};
use half::bf16;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::{CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

/// The two modules, for activations of f32 and of bf16.
struct Modules([libloading::Library; 2]);

#[derive(Clone, Copy)]
pub(crate) struct Emulator(&'static Modules);

thread_local! {
    static CURRENT: Cell<Option<Emulator>> = const { Cell::new(None) };
}

/// What `Gpu::of` takes tensors of the CPU to run on.
pub(crate) fn current() -> Option<Emulator> {
    CURRENT.get()
}

/// Runs a test of kernels: with f32 and bf16 tensors of the CPU taken for a GPU's, and, in a build with the feature `cuda`, on the first CUDA
/// device. Prints what it had to skip. With `TLKIT_SKIP_EMULATION=1`, as `benches/gpu.sh` sets it, the device alone.
///
/// The names of tests that call it have `gpu` in them, or `one_launch`: by these `benches/gpu.sh` finds them (`tests/one_call.rs`).
pub(crate) fn everywhere(f: impl Fn()) {
    /// Also where the test fails: the next one may come on the same thread.
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            CURRENT.set(None);
        }
    }
    match modules() {
        Err(why) => println!("skipped: {why}"),
        Ok(modules) => {
            let _reset = Reset;
            CURRENT.set(Some(Emulator(modules)));
            f();
        }
    }
    match super::available() {
        0 => println!("skipped: no CUDA device"),
        _ => crate::testing::on(super::open(0).expect("the device opens"), f),
    }
}

/// The kernels, or why there are none.
fn modules() -> std::result::Result<&'static Modules, &'static str> {
    static MODULES: OnceLock<std::result::Result<Modules, &'static str>> = OnceLock::new();
    MODULES.get_or_init(compile).as_ref().map_err(|&why| why)
}

/// The kernels' source: where the tests were compiled, or in a copy of the repository that they were carried to.
fn source(compiled_at: &Path, here: &Path) -> std::result::Result<PathBuf, &'static str> {
    [compiled_at, &here.join("ops"), here]
        .into_iter()
        .map(|folder| folder.join("src/gpu/all.cu"))
        .find(|file| file.is_file())
        .ok_or("the kernels' source is not here")
}

fn compile() -> std::result::Result<Modules, &'static str> {
    if std::env::var_os("TLKIT_SKIP_EMULATION").is_some_and(|v| v == "1") {
        return Err("no emulation, as TLKIT_SKIP_EMULATION asks");
    }
    let source = source(Path::new(env!("CARGO_MANIFEST_DIR")), Path::new(""))?;
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    let found = Command::new(&compiler).arg("--version").output();
    found.map_err(|_| "no C++ compiler")?;
    let module = |name: &str, define: &[&str]| {
        let out = std::env::temp_dir().join(format!("tlkit-{name}-{}.so", std::process::id()));
        let made = Command::new(&compiler)
            .args([
                "-std=c++17",
                "-O1",
                "-U_FORTIFY_SOURCE",
                "-fPIC",
                "-shared",
                "-x",
                "c++",
            ])
            .args(define)
            .arg(&source)
            .arg("-o")
            .arg(&out)
            .output()
            .expect("the compiler runs");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        // SAFETY: the library was made just now, and has no constructors but those of its own globals.
        let library = unsafe { libloading::Library::new(&out) }.expect("it loads");
        let _ = std::fs::remove_file(&out);
        library
    };
    Ok(Modules([
        module("f32", &[]),
        module("bf16", &["-DTLKIT_BF16"]),
    ]))
}

#[test]
fn the_source_is_found_where_the_tests_were_made_and_where_they_were_carried() {
    let name = format!("tlkit-source-{}", std::process::id());
    let repository = std::env::temp_dir().join(name);
    let made = repository.join("ops");
    let file = made.join("src/gpu/all.cu");
    std::fs::create_dir_all(made.join("src/gpu")).expect("a folder");
    std::fs::write(&file, "").expect("a file");
    let gone = Path::new("/nowhere/ops");
    for (compiled_at, here) in [(&*made, gone), (gone, &*repository), (gone, &*made)] {
        assert_eq!(source(compiled_at, here), Ok(file.clone()));
    }
    assert_eq!(source(gone, gone), Err("the kernels' source is not here"));
    std::fs::remove_dir_all(&repository).expect("it goes");
}

/// A tensor full of NaN, or of the greatest number.
pub(crate) fn poisoned(shape: Shape, dtype: DType) -> Result<Tensor> {
    let t = Tensor::zeros(shape, dtype, &Device::Cpu)?;
    let n = t.elem_count() * dtype.size_in_bytes();
    write(&t, &vec![0xff; n])?;
    Ok(t)
}

macro_rules! with_vec {
    ($storage:expr, $v:ident, $body:expr) => {
        match $storage {
            CpuStorage::U8($v) => $body,
            CpuStorage::U32($v) => $body,
            CpuStorage::BF16($v) => $body,
            CpuStorage::F32($v) => $body,
            CpuStorage::F64($v) => $body,
            _ => panic!("kernels take u8, u32, bf16, f32 and f64"),
        }
    };
}

/// The bytes of a contiguous tensor.
fn read(t: &Tensor) -> Vec<u8> {
    let (storage, layout) = t.storage_and_layout();
    let (from, to) = layout
        .contiguous_offsets()
        .expect("kernels take contiguous tensors");
    let Storage::Cpu(cpu) = &*storage else {
        panic!("a tensor of the CPU");
    };
    with_vec!(cpu, v, {
        let s = &v[from..to];
        // SAFETY: plain numbers, read as bytes.
        unsafe { std::slice::from_raw_parts(s.as_ptr().cast::<u8>(), size_of_val(s)) }.to_vec()
    })
}

struct Write<'a>(&'a [u8]);

impl InplaceOp1 for Write<'_> {
    fn name(&self) -> &'static str {
        "write"
    }
    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (from, to) = layout.contiguous_offsets().expect("contiguous");
        with_vec!(storage, v, {
            let s = &mut v[from..to];
            assert_eq!(size_of_val(s), self.0.len());
            // SAFETY: as many bytes as the numbers have, and any bits are a number.
            unsafe {
                std::ptr::copy_nonoverlapping(
                    self.0.as_ptr(),
                    s.as_mut_ptr().cast::<u8>(),
                    self.0.len(),
                );
            }
        });
        Ok(())
    }
}

fn write(t: &Tensor, bytes: &[u8]) -> Result<()> {
    t.inplace_op1(&Write(bytes))
}

/// Bytes on both sides of a tensor's copy.
const GUARD: usize = 256;

/// The copies that one launch works on, by the tensor's place in memory.
struct Copies {
    /// The bytes of the guards.
    guard: u8,
    at: BTreeMap<usize, (Tensor, Vec<u64>, bool)>,
}

impl Copies {
    fn add(&mut self, t: &Tensor, written: bool) -> *mut c_void {
        let bytes = read(t);
        let place = {
            let (storage, layout) = t.storage_and_layout();
            let Storage::Cpu(cpu) = &*storage else {
                panic!("a tensor of the CPU");
            };
            with_vec!(cpu, v, v.as_ptr() as usize)
                + layout.start_offset() * t.dtype().size_in_bytes()
        };
        // Tensors without elements have no place of their own.
        let place = if bytes.is_empty() {
            usize::MAX - self.at.len()
        } else {
            place
        };
        let entry = self.at.entry(place).or_insert_with(|| {
            let words = (bytes.len() + 2 * GUARD).div_ceil(8);
            let mut copy = vec![u64::from_ne_bytes([self.guard; 8]); words];
            as_bytes(&mut copy)[GUARD..GUARD + bytes.len()].copy_from_slice(&bytes);
            (t.clone(), copy, false)
        });
        assert_eq!(entry.0.dims(), t.dims(), "one view of a tensor a launch");
        entry.2 |= written;
        as_bytes(&mut entry.1)[GUARD..].as_mut_ptr().cast()
    }

    /// What was written, and whether every guard still stands and nothing else changed.
    fn results(mut self, kernel: &str) -> Vec<(Tensor, Vec<u8>)> {
        let mut out = Vec::new();
        for (t, copy, written) in self.at.values_mut() {
            let n = t.elem_count() * t.dtype().size_in_bytes();
            let bytes = as_bytes(copy);
            let whole = bytes[..GUARD].iter().chain(&bytes[GUARD + n..]);
            assert!(
                whole.into_iter().all(|&b| b == self.guard),
                "{kernel} writes outside of {:?}",
                t.dims()
            );
            let inside = bytes[GUARD..GUARD + n].to_vec();
            if *written {
                out.push((t.clone(), inside));
            } else {
                assert!(inside == read(t), "{kernel} writes to what it reads");
            }
        }
        out
    }
}

fn as_bytes(words: &mut [u64]) -> &mut [u8] {
    // SAFETY: plain numbers as bytes.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<u8>(), size_of_val(words)) }
}

type Run =
    unsafe extern "C" fn(*const u32, u32, u32, *mut *mut c_void, *const c_char, u32) -> c_int;

impl Emulator {
    pub(crate) fn launch(
        &self,
        kernel: &'static str,
        dtype: DType,
        grid: Grid,
        args: &[Arg<'_>],
    ) -> Result<()> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
        assert!(
            grid.blocks[1] <= 65_535 && grid.blocks[2] <= 65_535 && grid.threads <= 1024,
            "{kernel}: more than a GPU takes"
        );
        let module = &self.0.0[usize::from(dtype == DType::BF16)];
        let name = CString::new(format!("emulated_{kernel}")).expect("a name");
        // SAFETY: every kernel is exported with this signature.
        let run: libloading::Symbol<'_, Run> =
            unsafe { module.get(name.as_bytes_with_nul()) }.expect("the kernel is there");
        let mut before: Option<Vec<(Tensor, Vec<u8>)>> = None;
        for order in 0..2 {
            let mut copies = Copies {
                guard: [0xff, 0xa5][order as usize],
                at: BTreeMap::new(),
            };
            let mut kinds = String::new();
            let mut tables: Vec<Vec<*mut c_void>> = Vec::new();
            let mut values: Vec<u64> = Vec::new();
            for arg in args {
                let (kind, value) = match *arg {
                    Arg::In(t) => ('p', copies.add(t, false) as u64),
                    Arg::Out(t) => ('p', copies.add(t, true) as u64),
                    Arg::Null => ('p', 0),
                    Arg::Pointers(all) => {
                        let table = all
                            .iter()
                            .map(|t| t.map_or(std::ptr::null_mut(), |t| copies.add(t, true)))
                            .collect::<Vec<_>>();
                        tables.push(table);
                        let last = tables.len() - 1;
                        ('p', tables[last].as_mut_ptr() as u64)
                    }
                    Arg::F32(x) => ('f', u64::from(x.to_bits())),
                    Arg::U32(x) => ('u', u64::from(x)),
                    Arg::U64(x) => ('l', x),
                };
                kinds.push(kind);
                values.push(value);
            }
            let mut pointers: Vec<*mut c_void> = values
                .iter_mut()
                .map(|v| std::ptr::from_mut(v).cast())
                .collect();
            let kinds = CString::new(kinds).expect("letters");
            // SAFETY: the kinds are checked against the kernel's own; pointers are to copies that live until below.
            let status = unsafe {
                run(
                    grid.blocks.as_ptr(),
                    grid.threads,
                    grid.bytes,
                    pointers.as_mut_ptr(),
                    kinds.as_ptr(),
                    order,
                )
            };
            match status {
                0 => {}
                1 => panic!("{kernel}: other arguments"),
                _ => panic!("{kernel}: a barrier that some threads do not reach"),
            }
            let after = copies.results(kernel);
            if let Some(before) = &before {
                assert!(
                    before.iter().zip(&after).all(|(a, b)| a.1 == b.1),
                    "{kernel} depends on the order of its threads"
                );
            }
            before = Some(after);
        }
        for (t, bytes) in before.into_iter().flatten() {
            write(&t, &bytes)?;
        }
        Ok(())
    }
}

/// The product as cuBLAS documents it: column-major, sums in f32.
pub(crate) fn multiply(gemm: &Gemm<'_>) -> Result<()> {
    let p = gemm.product();
    assert!(
        p.a.tensor.dtype() == p.b.tensor.dtype(),
        "factors of one type"
    );
    let (a, b, mut c) = (floats(p.a.tensor), floats(p.b.tensor), floats(p.c.tensor));
    let alike = |t: &Tensor| t.layout().start_offset();
    let starts = [alike(p.a.tensor), alike(p.b.tensor), alike(p.c.tensor)];
    assert!(!p.c.transposed && starts[2] == 0 && p.c.tensor.is_contiguous());
    // Element (i, j) of a column-major matrix.
    let at = |v: &[f32], first: usize, t: bool, ld: usize, i: usize, j: usize| {
        v[first + if t { j + i * ld } else { i + j * ld }]
    };
    assert!(p.a.row >= if p.a.transposed { p.k } else { p.m } || p.k == 0);
    assert!(p.b.row >= if p.b.transposed { p.n } else { p.k } || p.k == 0);
    assert!(p.c.row >= p.m);
    for [fa, fb, fc] in gemm.offsets() {
        for j in 0..p.n {
            for i in 0..p.m {
                let mut sum = 0f32;
                for l in 0..p.k {
                    sum += at(&a, starts[0] + fa, p.a.transposed, p.a.row, i, l)
                        * at(&b, starts[1] + fb, p.b.transposed, p.b.row, l, j);
                }
                let to = &mut c[fc + i + j * p.c.row];
                *to = gemm.alpha * sum
                    + if gemm.beta == 0.0 {
                        0.0
                    } else {
                        gemm.beta * *to
                    };
            }
        }
    }
    match p.c.tensor.dtype() {
        DType::F32 => write(p.c.tensor, &bytes(&c, f32::to_ne_bytes)),
        DType::BF16 => write(p.c.tensor, &bytes(&c, |x| bf16::from_f32(x).to_ne_bytes())),
        other => panic!("a product of {other:?}"),
    }
}

fn bytes<const N: usize>(x: &[f32], f: impl Fn(f32) -> [u8; N]) -> Vec<u8> {
    x.iter().flat_map(|&x| f(x)).collect()
}

/// The whole storage of a tensor, whatever its layout.
fn floats(t: &Tensor) -> Vec<f32> {
    let (storage, _) = t.storage_and_layout();
    match &*storage {
        Storage::Cpu(CpuStorage::F32(v)) => v.clone(),
        Storage::Cpu(CpuStorage::BF16(v)) => v.iter().map(|x| x.to_f32()).collect(),
        _ => panic!("a tensor of f32 or bf16 on the CPU"),
    }
}
