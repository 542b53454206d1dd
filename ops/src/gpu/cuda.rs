//! The kernels on a CUDA device, and products by cuBLAS.
//!
//! All work of a device goes through one stream, so that launches, copies and frees keep the order in which they were asked for.

use super::gemm::{may_be_batched, table};
use super::{Arg, Gemm, Grid};
use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::cublas::{result as blas, sys as blas_sys};
use candle_core::cuda_backend::cudarc::driver::{
    CudaStream, DevicePtr, LaunchConfig, PushKernelArg, SyncOnDrop, result as driver,
    sys as driver_sys,
};
use candle_core::{CudaDevice, DType, Device, Error, Result, Storage, StorageRef, Tensor};
use std::ffi::{c_int, c_void};
use std::sync::Mutex;

/// The modules that build.rs made, for activations of f32 and of bf16.
const MODULES: [(&str, &str); 2] = [
    (
        "tlkit_f32",
        include_str!(concat!(env!("OUT_DIR"), "/tlkit_f32.ptx")),
    ),
    (
        "tlkit_bf16",
        include_str!(concat!(env!("OUT_DIR"), "/tlkit_bf16.ptx")),
    ),
];

/// How many CUDA devices there are; 0 too where the driver cannot say.
pub fn available() -> usize {
    use candle_core::cuda_backend::cudarc::driver::CudaContext;
    CudaContext::device_count().map_or(0, |n| usize::try_from(n).unwrap_or(0))
}

/// Bytes of a device's memory that are free, and all of them. What the pool keeps for the next tensor is not free.
pub fn memory(device: &Device) -> Option<(u64, u64)> {
    let context = device.as_cuda_device().ok()?.cuda_stream();
    context.context().bind_to_thread().ok()?;
    let (free, all) = driver::mem_get_info().ok()?;
    Some((free as u64, all as u64))
}

/// Bytes that are free on the CUDA device of this number, opened or not; nothing where the driver cannot say.
pub fn free(ordinal: usize) -> Option<u64> {
    use candle_core::cuda_backend::cudarc::driver::CudaContext;
    let context = CudaContext::new(ordinal).ok()?;
    context.mem_get_info().ok().map(|(free, _)| free as u64)
}

/// Which GPU a device is, by its name and compute capability: `NVIDIA H200 (compute capability 9.0)`.
pub fn model(device: &Device) -> Option<String> {
    let stream = device.as_cuda_device().ok()?.cuda_stream();
    let context = stream.context();
    let name = context.name().ok()?;
    let (major, minor) = context.compute_capability().ok()?;
    Some(format!("{name} (compute capability {major}.{minor})"))
}

/// A CUDA device, opened once a process: two of the same number would be two devices to Candle.
///
/// Its freed memory is kept for the next tensor rather than given back to the driver.
pub fn open(ordinal: usize) -> Result<Device> {
    static OPEN: Mutex<Vec<(usize, Device)>> = Mutex::new(Vec::new());
    let mut open = OPEN.lock().unwrap_or_else(|e| e.into_inner());
    if let Some((_, device)) = open.iter().find(|(n, _)| *n == ordinal) {
        return Ok(device.clone());
    }
    let device = Device::new_cuda_with_stream(ordinal)?;
    let cuda = device.as_cuda_device()?;
    // SAFETY: the one stream orders every use of a tensor before its free, whichever thread asks for them.
    unsafe { cuda.disable_event_tracking() };
    if let Err(e) = keep_memory(ordinal) {
        // A virtual device may have no pool that can be told: every tensor then asks the driver, which is slower and no reason to stop.
        eprintln!("note: cuda:{ordinal} gives freed memory back at once ({e})");
    }
    open.push((ordinal, device.clone()));
    Ok(device)
}

/// Lets the device's memory pool keep what is freed.
fn keep_memory(
    ordinal: usize,
) -> std::result::Result<(), candle_core::cuda_backend::cudarc::driver::DriverError> {
    let number = c_int::try_from(ordinal).unwrap_or(c_int::MAX);
    let device = driver::device::get(number)?;
    let mut pool = std::mem::MaybeUninit::uninit();
    let mut most = u64::MAX;
    // SAFETY: the pool belongs to the device and outlives the process's use of it; the threshold is a u64, as the driver's
    // documentation of CU_MEMPOOL_ATTR_RELEASE_THRESHOLD says.
    unsafe {
        driver_sys::cuDeviceGetDefaultMemPool(pool.as_mut_ptr(), device).result()?;
        driver_sys::cuMemPoolSetAttribute(
            pool.assume_init(),
            driver_sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD,
            std::ptr::from_mut(&mut most).cast::<c_void>(),
        )
        .result()
    }
}

/// The address of a tensor's first element, while the tensor is held.
fn address<'a>(
    held: &'a StorageRef<'_>,
    t: &Tensor,
    stream: &'a CudaStream,
) -> Result<(u64, SyncOnDrop<'a>)> {
    let Storage::Cuda(storage) = &**held else {
        return Err(Error::Msg("a kernel was given a tensor of another device".into()).bt());
    };
    let (base, guard) = match t.dtype() {
        DType::U8 => storage.as_cuda_slice::<u8>()?.device_ptr(stream),
        DType::U32 => storage.as_cuda_slice::<u32>()?.device_ptr(stream),
        DType::BF16 => storage.as_cuda_slice::<half::bf16>()?.device_ptr(stream),
        DType::F32 => storage.as_cuda_slice::<f32>()?.device_ptr(stream),
        DType::F64 => storage.as_cuda_slice::<f64>()?.device_ptr(stream),
        other => return Err(Error::Msg(format!("no kernel takes {other:?}")).bt()),
    };
    let offset = t.layout().start_offset() * t.dtype().size_in_bytes();
    Ok((base + offset as u64, guard))
}

enum Value {
    Address(u64),
    F32(f32),
    U32(u32),
}

pub(super) fn launch(
    device: &CudaDevice,
    kernel: &'static str,
    dtype: DType,
    grid: Grid,
    args: &[Arg<'_>],
) -> Result<()> {
    let (module, ptx) = MODULES[usize::from(dtype == DType::BF16)];
    let function = device.get_or_load_custom_func(kernel, module, ptx)?;
    let stream = device.cuda_stream();
    // Held until the kernel is launched: storages, and arrays of pointers to them.
    let all = |arg: &Arg<'_>| -> Vec<Tensor> {
        match *arg {
            Arg::In(t) | Arg::Out(t) => vec![t.clone()],
            Arg::Pointers(all) => all.iter().flatten().map(|&t| t.clone()).collect(),
            _ => Vec::new(),
        }
    };
    let tensors: Vec<Vec<Tensor>> = args.iter().map(all).collect();
    if let Some(t) = tensors.iter().flatten().find(|t| !t.is_contiguous()) {
        return Err(Error::Msg(format!("{kernel}: {:?} is not contiguous", t.dims())).bt());
    }
    let held: Vec<Vec<StorageRef<'_>>> = tensors
        .iter()
        .map(|all| all.iter().map(|t| t.storage_and_layout().0).collect())
        .collect();
    let mut guards = Vec::new();
    let mut tables = Vec::new();
    let mut values = Vec::with_capacity(args.len());
    for ((arg, tensors), held) in args.iter().zip(&tensors).zip(&held) {
        let mut addresses = Vec::with_capacity(tensors.len());
        for (t, held) in tensors.iter().zip(held) {
            let (at, guard) = address(held, t, &stream)?;
            addresses.push(at);
            guards.push(guard);
        }
        values.push(match *arg {
            Arg::In(_) | Arg::Out(_) => Value::Address(addresses[0]),
            Arg::Null => Value::Address(0),
            Arg::Pointers(all) => {
                let mut given = addresses.into_iter();
                let table: Vec<u64> = all
                    .iter()
                    .map(|t| t.and_then(|_| given.next()).unwrap_or(0))
                    .collect();
                tables.push(stream.clone_htod(&table).w()?);
                let at = {
                    let (at, guard) = tables[tables.len() - 1].device_ptr(&stream);
                    drop(guard);
                    at
                };
                Value::Address(at)
            }
            Arg::F32(x) => Value::F32(x),
            Arg::U32(x) => Value::U32(x),
            Arg::U64(x) => Value::Address(x),
        });
    }
    let mut builder = function.builder();
    for value in &values {
        match value {
            Value::Address(x) => builder.arg(x),
            Value::F32(x) => builder.arg(x),
            Value::U32(x) => builder.arg(x),
        };
    }
    let [x, y, z] = grid.blocks;
    let config = LaunchConfig {
        grid_dim: (x, y, z),
        block_dim: (grid.threads, 1, 1),
        shared_mem_bytes: grid.bytes,
    };
    // SAFETY: the emulated launches of the tests check every kernel's kinds of arguments, and that it stays within its tensors; they live on
    // the stream that frees them.
    unsafe { builder.launch(config) }.w()?;
    Ok(())
}

pub(super) fn multiply(device: &CudaDevice, gemm: &Gemm<'_>) -> Result<()> {
    let p = gemm.product();
    let stream = device.cuda_stream();
    let kind = |t: &Tensor| match t.dtype() {
        DType::F32 => Ok((blas_sys::cudaDataType::CUDA_R_32F, 4)),
        DType::BF16 => Ok((blas_sys::cudaDataType::CUDA_R_16BF, 2)),
        other => Err(Error::Msg(format!("no product of {other:?}")).bt()),
    };
    let [(ta, sa), (tb, sb), (tc, sc)] = [kind(p.a.tensor)?, kind(p.b.tensor)?, kind(p.c.tensor)?];
    let held = [p.a, p.b, p.c].map(|f| f.tensor.storage_and_layout().0);
    let (a, _ga) = address(&held[0], p.a.tensor, &stream)?;
    let (b, _gb) = address(&held[1], p.b.tensor, &stream)?;
    let (c, _gc) = address(&held[2], p.c.tensor, &stream)?;
    let int =
        |n: usize| c_int::try_from(n).map_err(|_| Error::Msg(format!("a matrix of {n} rows")).bt());
    let op = |transposed: bool| match transposed {
        true => blas_sys::cublasOperation_t::CUBLAS_OP_T,
        false => blas_sys::cublasOperation_t::CUBLAS_OP_N,
    };
    let [m, n, k, lda, ldb, ldc] = [
        int(p.m)?,
        int(p.n)?,
        int(p.k)?,
        int(p.a.row)?,
        int(p.b.row)?,
        int(p.c.row)?,
    ];
    let (alpha, beta) = (gemm.alpha, gemm.beta);
    let (alpha, beta) = (
        std::ptr::from_ref(&alpha).cast::<c_void>(),
        std::ptr::from_ref(&beta).cast::<c_void>(),
    );
    // Sums in f32, and products of f32 in f32: TF32 is off.
    let compute = blas_sys::cublasComputeType_t::CUBLAS_COMPUTE_32F;
    let algorithm = blas_sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT;
    let cublas = device.cublas_handle();
    let handle = *cublas.handle();
    let places = gemm.addresses([a, b, c], [sa, sb, sc]);
    if places.len() == 1 || !may_be_batched(&places, sa.min(sb).min(sc)) {
        for [a, b, c] in places {
            // SAFETY: dimensions and steps describe matrices within the three tensors (`Gemm`, whose layouts the emulated products of the
            // tests check against the tensors' lengths); the tensors live on the handle's stream.
            unsafe {
                blas::gemm_ex(
                    handle,
                    op(p.a.transposed),
                    op(p.b.transposed),
                    m,
                    n,
                    k,
                    alpha,
                    a as *const c_void,
                    ta,
                    lda,
                    b as *const c_void,
                    tb,
                    ldb,
                    beta,
                    c as *mut c_void,
                    tc,
                    ldc,
                    compute,
                    algorithm,
                )
            }
            .w()?;
        }
        return Ok(());
    }
    let count = places.len();
    let (table, pitch) = table(&places);
    let table = stream.clone_htod(&table).w()?;
    let (at, _gt) = table.device_ptr(&stream);
    let part = |i: usize| at + (i * pitch * 8) as u64;
    // SAFETY: as above; the table holds `count` addresses for each of the three, and is freed on the stream, after the product.
    unsafe {
        blas_sys::cublasGemmBatchedEx(
            handle,
            op(p.a.transposed),
            op(p.b.transposed),
            m,
            n,
            k,
            alpha,
            part(0) as *const *const c_void,
            ta,
            lda,
            part(1) as *const *const c_void,
            tb,
            ldb,
            beta,
            part(2) as *const *mut c_void,
            tc,
            ldc,
            int(count)?,
            compute,
            algorithm,
        )
        .result()
    }
    .w()
}
