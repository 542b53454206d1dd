//! The tables of `tlkit.h` in Rust, field by field, and nothing else: what the host and the authors' side agree on.
//!
//! The header (`plugins/sdk/include/tlkit.h`) is the contract and says what each field means; here only what a reader of Rust needs
//! is said again. `tests/layout.rs` compiles the header and compares every size and offset with the ones here.

use std::ffi::c_void;

/// The version of the tables.
pub const MAJOR: u32 = 1;
/// The version of the tables.
pub const MINOR: u32 = 3;
/// The one symbol.
pub const SYMBOL: &str = "tlkit_plugin_v1";

/// All went well.
pub const OK: i32 = 0;
/// It did not, and `fail` was told why.
pub const FAILED: i32 = 1;
/// A key is not written, and has no default.
pub const ABSENT: i32 = 2;

/// An answer in UTF-8.
pub const ANSWER_TEXT: u32 = 0;
/// An answer that is an image file.
pub const ANSWER_IMAGE: u32 = 1;
/// An answer of float32s.
pub const ANSWER_FEATURES: u32 = 2;

/// DLPack's CPU.
pub const CPU: i32 = 1;
/// DLPack's float.
pub const FLOAT: u8 = 2;
/// A tensor that may not be written.
pub const READ_ONLY: u64 = 1;

/// `vjp` may follow a pass.
pub const RECORD_VJP: u32 = 1;
/// The derivative by the input may be wanted then.
pub const RECORD_INPUT: u32 = 2;

/// A strategy for labelled targets.
pub const INDUCTIVE: u32 = 0;
/// A strategy for targets whose labels are sealed.
pub const TRANSDUCTIVE: u32 = 1;

/// An entry's table is a [`Reader`].
pub const READER: u32 = 1;
/// An entry's table is a [`LossTerm`].
pub const LOSS_TERM: u32 = 2;
/// An entry's table is a [`Strategy`].
pub const STRATEGY: u32 = 3;
/// An entry's table is a [`SourceTask`].
pub const SOURCE_TASK: u32 = 4;
/// An entry's table is a [`TargetTask`].
pub const TARGET_TASK: u32 = 5;
/// An entry's table is a [`Metric`].
pub const METRIC: u32 = 6;

/// What every table begins with.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Of the table, where it was compiled.
    pub size: u64,
    /// [`MAJOR`] there.
    pub major: u32,
    /// [`MINOR`] there.
    pub minor: u32,
}

impl Head {
    /// The head of a `T` that is made here.
    pub const fn of<T>() -> Self {
        Head {
            size: size_of::<T>() as u64,
            major: MAJOR,
            minor: MINOR,
        }
    }
}

/// UTF-8, not terminated.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// Null where `size` is 0.
    pub data: *const u8,
    /// In bytes.
    pub size: u64,
}

impl Text {
    /// Of a text that the caller keeps alive.
    pub const fn of(text: &str) -> Self {
        Text {
            data: text.as_ptr(),
            size: text.len() as u64,
        }
    }

    /// Of bytes that the caller keeps alive.
    pub const fn bytes(bytes: &[u8]) -> Self {
        Text {
            data: bytes.as_ptr(),
            size: bytes.len() as u64,
        }
    }

    /// None.
    pub const EMPTY: Text = Text {
        data: std::ptr::null(),
        size: 0,
    };
}

/// What a function may ask of the host while it runs.
#[repr(C)]
pub struct Call {
    /// Its size.
    pub head: Head,
    /// The first argument of each function.
    pub host: *mut c_void,
    /// Says what went wrong.
    pub fail: Option<unsafe extern "C-unwind" fn(host: *mut c_void, message: Text)>,
    /// Gives one answer.
    pub answer: Option<
        unsafe extern "C-unwind" fn(host: *mut c_void, kind: u32, data: *const c_void, size: u64),
    >,
    /// A key as a number.
    pub number:
        Option<unsafe extern "C-unwind" fn(host: *mut c_void, name: Text, value: *mut f64) -> i32>,
    /// A key as text; all keys as JSON where `name` is empty.
    pub text:
        Option<unsafe extern "C-unwind" fn(host: *mut c_void, name: Text, value: *mut Text) -> i32>,
    /// Since 1.2. Hands over the gradient of a parameter.
    pub give: Option<
        unsafe extern "C-unwind" fn(host: *mut c_void, index: u64, gradient: *mut Tensor) -> i32,
    >,
}

/// The layout of DLPack's `DLManagedTensorVersioned`.
#[repr(C)]
pub struct Tensor {
    /// Of DLPack: 1.
    pub dlpack_major: u32,
    /// Of DLPack: 0.
    pub dlpack_minor: u32,
    /// Of who made it.
    pub manager: *mut c_void,
    /// None: lent.
    pub deleter: Option<unsafe extern "C-unwind" fn(*mut Tensor)>,
    /// [`READ_ONLY`] or 0.
    pub flags: u64,
    /// The block.
    pub data: *mut c_void,
    /// [`CPU`].
    pub device_type: i32,
    /// Which of them.
    pub device_id: i32,
    /// How many.
    pub dimensions: i32,
    /// [`FLOAT`].
    pub code: u8,
    /// 32.
    pub bits: u8,
    /// 1.
    pub lanes: u16,
    /// `dimensions` of them.
    pub shape: *mut i64,
    /// In elements.
    pub strides: *mut i64,
    /// From `data`.
    pub byte_offset: u64,
}

/// When a call is made.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Its size.
    pub head: Head,
    /// Of this part at this step.
    pub seed: u64,
    /// Optimizer steps of the run so far.
    pub step: u64,
    /// Share of the phase that is done.
    pub progress: f64,
    /// 1 while training.
    pub training: u32,
    /// 0.
    pub reserved: u32,
}

/// What a reader is to open.
#[repr(C)]
pub struct File {
    /// Its size.
    pub head: Head,
    /// As the recipe writes it.
    pub name: Text,
    /// Empty where the content is in `bytes`.
    pub path: Text,
    /// The content, where there is no path.
    pub bytes: Text,
    /// 1: the first row names the columns.
    pub header: u32,
    /// 0.
    pub reserved: u32,
}

/// A data reader.
#[repr(C)]
pub struct Reader {
    /// Its size.
    pub head: Head,
    /// Separated by spaces.
    pub extensions: Text,
    /// Opens a table.
    pub open: Option<
        unsafe extern "C-unwind" fn(
            call: *const Call,
            file: *const File,
            this: *mut *mut c_void,
        ) -> i32,
    >,
    /// Takes it back.
    pub close: Option<unsafe extern "C-unwind" fn(this: *mut c_void)>,
    /// How many rows.
    pub rows: Option<
        unsafe extern "C-unwind" fn(this: *mut c_void, call: *const Call, rows: *mut u64) -> i32,
    >,
    /// The columns' names.
    pub columns: Option<unsafe extern "C-unwind" fn(this: *mut c_void, call: *const Call) -> i32>,
    /// One cell.
    pub cell: Option<
        unsafe extern "C-unwind" fn(
            this: *mut c_void,
            call: *const Call,
            row: u64,
            column: u64,
        ) -> i32,
    >,
    /// Where a row stands.
    pub place:
        Option<unsafe extern "C-unwind" fn(this: *mut c_void, call: *const Call, row: u64) -> i32>,
    /// Since 1.1. 1: it also opens folders.
    pub folders: u32,
    /// 0.
    pub reserved: u32,
}

/// A loss term.
#[repr(C)]
pub struct LossTerm {
    /// Its size.
    pub head: Head,
    /// Makes one from its keys.
    pub make: Option<unsafe extern "C-unwind" fn(call: *const Call, this: *mut *mut c_void) -> i32>,
    /// Takes it back.
    pub drop: Option<unsafe extern "C-unwind" fn(this: *mut c_void)>,
    /// Taps and parameters, as JSON.
    pub describe: Option<unsafe extern "C-unwind" fn(this: *mut c_void, call: *const Call) -> i32>,
    /// The value.
    pub forward: Option<
        unsafe extern "C-unwind" fn(
            this: *mut c_void,
            call: *const Call,
            moment: *const Moment,
            inputs: *const *const Tensor,
            count: u64,
            value: *mut f64,
            handle: *mut *mut c_void,
        ) -> i32,
    >,
    /// The way back.
    pub vjp: Option<
        unsafe extern "C-unwind" fn(
            this: *mut c_void,
            call: *const Call,
            moment: *const Moment,
            handle: *mut c_void,
            gradient: f64,
            inputs: *const *const Tensor,
            count: u64,
            gradients: *const *mut Tensor,
        ) -> i32,
    >,
    /// Takes a handle back.
    pub release: Option<unsafe extern "C-unwind" fn(this: *mut c_void, handle: *mut c_void)>,
}

/// A strategy.
#[repr(C)]
pub struct Strategy {
    /// Its size.
    pub head: Head,
    /// [`INDUCTIVE`] or [`TRANSDUCTIVE`].
    pub transfer: u32,
    /// 0.
    pub reserved: u32,
    /// Its phases, as JSON.
    pub phases: Option<unsafe extern "C-unwind" fn(call: *const Call) -> i32>,
}

/// An input as a reader found it.
#[repr(C)]
pub struct Input {
    /// Its size.
    pub head: Head,
    /// [`ANSWER_TEXT`], [`ANSWER_IMAGE`], [`ANSWER_FEATURES`].
    pub kind: u32,
    /// 0.
    pub reserved: u32,
    /// Its bytes.
    pub data: Text,
    /// Of a pair, the second text.
    pub second: Text,
}

/// How a pass through the network is made.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Its size.
    pub head: Head,
    /// Of this stage at this step.
    pub seed: u64,
    /// Optimizer steps of the run so far.
    pub step: u64,
    /// The same as at the last call: no parameter of the stage has changed since.
    pub weights: u64,
    /// 1 while training.
    pub training: u32,
    /// 0, or [`RECORD_VJP`] and [`RECORD_INPUT`].
    pub record: u32,
}

/// A source task.
#[repr(C)]
pub struct SourceTask {
    /// Its size.
    pub head: Head,
    /// Makes one from its keys.
    pub make: Option<unsafe extern "C-unwind" fn(call: *const Call, this: *mut *mut c_void) -> i32>,
    /// Takes it back.
    pub drop: Option<unsafe extern "C-unwind" fn(this: *mut c_void)>,
    /// Inputs, stages and parameters, as JSON.
    pub describe: Option<unsafe extern "C-unwind" fn(this: *mut c_void, call: *const Call) -> i32>,
    /// One input to one example.
    pub prepare: Option<
        unsafe extern "C-unwind" fn(
            this: *mut c_void,
            call: *const Call,
            input: *const Input,
            example: *mut Tensor,
        ) -> i32,
    >,
    /// One stage.
    pub forward: Option<
        unsafe extern "C-unwind" fn(
            this: *mut c_void,
            call: *const Call,
            pass: *const Pass,
            stage: u64,
            params: *const *const Tensor,
            count: u64,
            input: *const Tensor,
            output: *mut Tensor,
            handle: *mut *mut c_void,
        ) -> i32,
    >,
    /// The way back through a stage.
    pub vjp: Option<
        unsafe extern "C-unwind" fn(
            this: *mut c_void,
            call: *const Call,
            pass: *const Pass,
            stage: u64,
            handle: *mut c_void,
            params: *const *const Tensor,
            count: u64,
            input: *const Tensor,
            gradient: *const Tensor,
            input_gradient: *mut Tensor,
            gradients: *const *mut Tensor,
        ) -> i32,
    >,
    /// Takes a handle back.
    pub release: Option<unsafe extern "C-unwind" fn(this: *mut c_void, handle: *mut c_void)>,
    /// Since 1.2. 1: `vjp` gives gradients of parameters where the call has `give`.
    pub gives: u32,
    /// 0.
    pub reserved: u32,
    /// Since 1.3, and may be absent. The memory that a parameter lives in.
    pub lend: Option<
        unsafe extern "C-unwind" fn(
            this: *mut c_void,
            call: *const Call,
            stage: u64,
            param: u64,
            memory: *mut Tensor,
        ) -> i32,
    >,
}

/// A target task.
#[repr(C)]
pub struct TargetTask {
    /// Its size.
    pub head: Head,
    /// Data, head, loss and metrics, as JSON.
    pub describe: Option<unsafe extern "C-unwind" fn(call: *const Call) -> i32>,
}

/// A metric.
#[repr(C)]
pub struct Metric {
    /// Its size.
    pub head: Head,
    /// Makes one from its keys.
    pub make: Option<unsafe extern "C-unwind" fn(call: *const Call, this: *mut *mut c_void) -> i32>,
    /// Takes it back.
    pub drop: Option<unsafe extern "C-unwind" fn(this: *mut c_void)>,
    /// One number of all rows.
    pub score: Option<
        unsafe extern "C-unwind" fn(
            this: *mut c_void,
            call: *const Call,
            probabilities: *const Tensor,
            labels: *const u32,
            value: *mut f64,
        ) -> i32,
    >,
}

/// One thing that a library brings.
#[repr(C)]
pub struct Entry {
    /// Its size.
    pub head: Head,
    /// [`READER`], [`LOSS_TERM`], ...
    pub kind: u32,
    /// 0.
    pub reserved: u32,
    /// As a recipe writes it.
    pub name: Text,
    /// One line.
    pub about: Text,
    /// Its keys, a JSON Schema.
    pub keys: Text,
    /// As `kind` says.
    pub table: *const c_void,
}

/// What a library brings.
#[repr(C)]
pub struct Plugin {
    /// Its size.
    pub head: Head,
    /// What it is called.
    pub name: Text,
    /// Its own version.
    pub version: Text,
    /// One line.
    pub about: Text,
    /// How many.
    pub entries: u64,
    /// That many.
    pub entry: *const *const Entry,
}

/// Who asks.
#[repr(C)]
pub struct Host {
    /// Its size.
    pub head: Head,
    /// Of tlkit.
    pub version: Text,
}

/// The type of the one symbol.
pub type Ask = unsafe extern "C-unwind" fn(host: *const Host) -> *const Plugin;

// SAFETY: a text in a table is a constant that nobody writes, and it stays as long as the library does, which is never unloaded.
unsafe impl Sync for Text {}
// SAFETY: as above.
unsafe impl Send for Text {}
// SAFETY: a table is a constant, as are the tables that it leads to.
unsafe impl Sync for Entry {}
// SAFETY: as above.
unsafe impl Sync for Plugin {}
