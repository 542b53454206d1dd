//! Parameters that live in a plugin: the numbers of a store's parameter are those in the memory that the plugin lends, for as long as
//! its `self` lives. Optimizer, checkpoints and averages work there and know nothing of it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Tensor};
use tlkit_abi as abi;
use tlkit_core::nn::Param;
use tlkit_core::{Error, Result};

use crate::given::numbers;
use crate::lend::blank;
use crate::made::function;
use crate::network::{Network, is_thorough};

impl Network {
    fn homes(&self) -> MutexGuard<'_, Vec<Home>> {
        // A panic in between leaves the list whole.
        self.homes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a parameter live in the plugin's memory, where it lends some. One that is not float32 on the CPU stays where it is, and is lent
    /// to the plugin for each call, as are those of a plugin that lends none.
    pub fn settle(&self, stage: usize, index: usize, param: &Param) -> Result<()> {
        let plain = param.var().dtype() == DType::F32 && param.var().device().is_cpu();
        if self.table.lend.is_none() || !plain {
            return Ok(());
        }
        let at = self.lent(stage, index)?;
        let spec = &self.about.stages[stage];
        let what = format!("{}.{}", spec.name, spec.params[index].name);
        let wrong = |words: String| {
            let who = self.who();
            Error::msg(format!("{who} lent for `{what}` {words}"))
        };
        if self.lent(stage, index)? != at {
            return Err(wrong("other memory when it was asked again".into()));
        }
        // SAFETY: tlkit.h: memory of this parameter's shape that stays until `drop`, which comes after that of `homes`.
        let home = unsafe { Home::of((stage, index), param, at, &what) };
        self.homes().push(home.map_err(wrong)?);
        Ok(())
    }

    /// Where the plugin says that a parameter lives.
    fn lent(&self, stage: usize, index: usize) -> Result<*mut f32> {
        let ask = function!(self.table, lend, "source task");
        let spec = &self.about.stages[stage];
        let param = &spec.params[index];
        blank(&param.shape, |memory| {
            // SAFETY: as tlkit.h says: a tensor to be filled in.
            let ask = |this, c| unsafe { ask(this, c, stage as u64, index as u64, memory) };
            self.made.ask(ask)?;
            // SAFETY: it is ours; shape and strides are ours, or what the plugin has put in their places.
            let found = unsafe {
                match (*memory).flags & abi::READ_ONLY {
                    0 => numbers(&*memory, &param.shape),
                    _ => Err("a tensor that may not be written".into()),
                }
            };
            found.map_err(|words| {
                let (who, stage, name) = (self.who(), &spec.name, &param.name);
                Error::msg(format!("{who} lent for `{stage}.{name}` {words}"))
            })
        })
    }

    /// How many parameters live in the plugin. An error where the plugin, or the store that these are of, has moved one.
    pub fn settled(&self, params: &dyn Fn(usize, usize) -> Tensor) -> Result<usize> {
        let homes = self.homes();
        for home in homes.iter() {
            home.holds(&params(home.stage, home.index))?;
            let at = self.lent(home.stage, home.index)?;
            if at as usize != home.at() {
                let (who, name) = (self.who(), &self.about.stages[home.stage].name);
                return Err(Error::msg(format!(
                    "{who} lends other memory for parameter {} of `{name}` than before",
                    home.index
                )));
            }
        }
        Ok(homes.len())
    }

    /// Where every call is looked at: an error if a parameter of this stage is no longer where it was put.
    pub fn at_home(&self, stage: usize, params: &[Tensor]) -> Result<()> {
        if cfg!(debug_assertions) || is_thorough() {
            let homes = self.homes();
            let mut here = homes.iter().filter(|h| h.stage == stage);
            here.try_for_each(|home| home.holds(&params[home.index]))?;
        }
        Ok(())
    }
}

/// One parameter's memory.
pub(crate) struct Home {
    pub stage: usize,
    /// Within its stage.
    pub index: usize,
    /// Shares the parameter's storage, so that this outlives whatever the store does.
    tensor: Tensor,
    memory: Memory,
}

impl Home {
    /// From now on the parameter's numbers are those at `at`, which are written first. `what` is the parameter's name in errors.
    ///
    /// # Safety
    /// `at` leads to as many float32s, aligned, that stay and that nobody else writes until this is dropped.
    pub unsafe fn of(
        (stage, index): (usize, usize),
        param: &Param,
        at: *mut f32,
        what: &str,
    ) -> std::result::Result<Self, String> {
        let n = param.count();
        let memory = Memory::of(at as usize, n, what)?;
        let tensor = param.detached();
        let exchanged = tlkit_ops::with_vec(&tensor, &mut |own| {
            // SAFETY: the caller's. It may never be grown or dropped, as Rust's allocator does not know this memory: a parameter's storage
            // is not grown, and this `Home` keeps it until `drop` below has taken the vector out again.
            let theirs = unsafe {
                at.copy_from(own.as_ptr(), n);
                Vec::from_raw_parts(at, n, n)
            };
            // The host's own memory goes: there is one set of weights.
            *own = theirs;
        });
        exchanged.map_err(|e| e.to_string())?;
        Ok(Home {
            stage,
            index,
            tensor,
            memory,
        })
    }

    /// An error where a parameter is no longer where it was put: nothing may exchange a parameter's storage.
    pub fn holds(&self, param: &Tensor) -> Result<()> {
        let there = tlkit_ops::with_ref(param, |v: &[f32]| v.as_ptr() as usize)?;
        match there == self.memory.at {
            true => Ok(()),
            false => Err(Error::msg(
                "a parameter has left the plugin's memory: a bug in tlkit",
            )),
        }
    }

    /// Where it is.
    pub fn at(&self) -> usize {
        self.memory.at
    }
}

impl Drop for Home {
    /// The store keeps a copy, and the memory is the plugin's alone again.
    fn drop(&mut self) {
        let at = self.memory.at;
        let exchange = || {
            tlkit_ops::with_vec(&self.tensor, &mut |numbers| {
                if numbers.as_ptr() as usize == at {
                    let own = numbers.clone();
                    std::mem::forget(std::mem::replace(numbers, own));
                }
            })
        };
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(exchange));
        if !matches!(done, Ok(Ok(()))) {
            // What could not be exchanged is never freed, as it is not ours to free.
            std::mem::forget(self.tensor.clone());
        }
    }
}

/// Memory that is lent, so that nobody lends it twice.
struct Memory {
    at: usize,
}

/// Where it begins, where it ends, and whose it is.
static LENT: Mutex<BTreeMap<usize, (usize, String)>> = Mutex::new(BTreeMap::new());

impl Memory {
    fn of(at: usize, count: usize, what: &str) -> std::result::Result<Self, String> {
        let end = count.checked_mul(size_of::<f32>());
        let end = end.and_then(|size| at.checked_add(size));
        let end = end.ok_or_else(|| format!("memory at {at:#x} that has no end"))?;
        let mut lent = LENT.lock().unwrap_or_else(PoisonError::into_inner);
        // They do not overlap, so the last that begins before the end is the one that could.
        if let Some((_, (until, whose))) = lent.range(..end).next_back()
            && *until > at
        {
            return Err(format!(
                "memory in which `{whose}` lives: each parameter of each `self` has its own"
            ));
        }
        lent.insert(at, (end, what.to_string()));
        Ok(Memory { at })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let mut lent = LENT.lock().unwrap_or_else(PoisonError::into_inner);
        lent.remove(&self.at);
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::c_void;

    use candle_core::Device;
    use tlkit_abi::{Call, Head};
    use tlkit_core::nn::{Init, Role, Store};

    use super::*;

    fn param(name: &str) -> (Store, Param) {
        let store = Store::new(&Device::Cpu, DType::F32, 0);
        let param = store.scope("m").param(name, &[3], Role::Weight, Init::Ones);
        (store, param.expect("a parameter"))
    }

    fn numbers(p: &Param) -> Vec<f32> {
        p.detached().to_vec1().expect("numbers")
    }

    #[test]
    fn numbers_are_written_where_they_live_and_stay_when_it_is_gone() -> Result<()> {
        let (store, p) = param("a");
        // SAFETY: as a plugin reads its numbers: through the pointer, while nobody writes.
        let memory = Box::into_raw(Box::new([7f32; 3]));
        let there = || unsafe { memory.read() };
        let view = p.detached();
        // SAFETY: three numbers that stay until below.
        let home = unsafe { Home::of((0, 0), &p, memory.cast(), "a") }.map_err(Error::msg)?;
        assert_eq!(there(), [1.0; 3]);
        p.var()
            .set(&Tensor::new(&[1f32, 2.0, 3.0], &Device::Cpu)?)?;
        assert_eq!(there(), [1.0, 2.0, 3.0]);
        store.fork("m", "copy")?;
        store.average("copy", "m", 0.0)?;
        tlkit_ops::with_mut(p.var(), |v: &mut [f32]| v[1] = 9.0)?;
        assert_eq!(there(), [1.0, 9.0, 3.0]);
        home.holds(&view)?;
        // SAFETY: nobody else looks at it now.
        unsafe { memory.cast::<f32>().write(5.0) };
        assert_eq!(view.to_vec1::<f32>()?, [5.0, 9.0, 3.0]);
        drop(home);
        // SAFETY: it came from a box.
        drop(unsafe { Box::from_raw(memory) });
        assert_eq!(numbers(&p), [5.0, 9.0, 3.0]);
        assert_eq!(view.to_vec1::<f32>()?, [5.0, 9.0, 3.0]);
        p.var().set(&Tensor::zeros(3, DType::F32, &Device::Cpu)?)?;
        assert_eq!(numbers(&p), [0.0; 3]);
        Ok(())
    }

    #[test]
    fn the_store_may_go_first() {
        let (store, p) = param("a");
        let mut memory = vec![0f32; 3];
        // SAFETY: three numbers that stay until the end.
        let home = unsafe { Home::of((0, 0), &p, memory.as_mut_ptr(), "a") };
        drop((store, p));
        drop(home);
        assert_eq!(memory, [1.0; 3]);
    }

    #[test]
    fn memory_is_lent_once_at_a_time() {
        let ((_a, a), (_b, b)) = (param("a"), param("b"));
        let mut memory = vec![0f32; 8];
        let at = memory.as_mut_ptr();
        // SAFETY: eight numbers that stay until the end.
        let of = |p: &Param, from: usize, what: &str| unsafe {
            Home::of((0, 0), p, at.add(from), what).map_err(|e| e.to_string())
        };
        let home = of(&a, 2, "a").expect("a place");
        for from in [0, 1, 2, 3, 4] {
            let said = of(&b, from, "b").err().unwrap_or_default();
            assert!(said.contains("in which `a` lives"), "{from}: {said}");
        }
        drop(of(&b, 5, "b").expect("behind it"));
        drop(home);
        drop(of(&b, 0, "b").expect("free again"));
        assert_eq!(numbers(&b), [1.0; 3]);
    }

    /// A panic in the midst of a write leaves the storage open, and what is in it goes back as ever.
    #[test]
    fn after_a_panic_in_a_write_the_memory_goes_back() {
        let (store, p) = param("a");
        let mut memory = vec![0f32; 3];
        // SAFETY: three numbers that stay until the end.
        let home = unsafe { Home::of((0, 0), &p, memory.as_mut_ptr(), "a") };
        let written = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            tlkit_ops::with_mut(p.var(), |_: &mut [f32]| panic!("on purpose"))
        }));
        assert!(written.is_err());
        drop(home);
        drop((store, p));
        assert_eq!(memory, [1.0; 3]);
    }

    /// A source task of one parameter, which lives in what `make` leaves.
    unsafe extern "C-unwind" fn make(_: *const Call, this: *mut *mut c_void) -> i32 {
        // SAFETY: tlkit.h: a place for a pointer.
        unsafe { this.write(Box::into_raw(Box::new([7f32; 3])).cast()) };
        abi::OK
    }

    unsafe extern "C-unwind" fn give_up(this: *mut c_void) {
        // SAFETY: what `make` left, once.
        drop(unsafe { Box::from_raw(this.cast::<[f32; 3]>()) });
    }

    unsafe extern "C-unwind" fn describe(_: *mut c_void, call: *const Call) -> i32 {
        let said = r#"{"reads": "features", "input": [3], "stages": [{"name": "s", "output": [3], "params":
            [{"name": "p", "shape": [3], "role": "weight", "init": "ones"}]}]}"#;
        // SAFETY: tlkit.h: the host's function, for the call.
        unsafe {
            let answer = (*call).answer.expect("a function");
            let (data, size) = (said.as_ptr().cast(), said.len() as u64);
            answer((*call).host, abi::ANSWER_TEXT, data, size);
        }
        abi::OK
    }

    unsafe extern "C-unwind" fn lend(
        this: *mut c_void,
        _: *const Call,
        _: u64,
        _: u64,
        memory: *mut abi::Tensor,
    ) -> i32 {
        // SAFETY: tlkit.h: a tensor to be filled in.
        unsafe { (*memory).data = this };
        abi::OK
    }

    static TABLE: abi::SourceTask = abi::SourceTask {
        head: Head::of::<abi::SourceTask>(),
        make: Some(make),
        drop: Some(give_up),
        describe: Some(describe),
        prepare: None,
        forward: None,
        vjp: None,
        release: None,
        gives: 0,
        reserved: 0,
        lend: Some(lend),
    };

    #[test]
    fn what_is_not_float32_stays_in_the_host() -> Result<()> {
        for (dtype, count) in [(DType::F32, 1), (DType::F64, 0)] {
            let network = Network::make(&TABLE, "it", &serde_json::Map::new())?;
            let store = Store::new(&Device::Cpu, dtype, 0);
            let scope = store.scope("m");
            let p = scope.param("p", &[3], Role::Weight, Init::Ones)?;
            network.settle(0, 0, &p)?;
            assert_eq!(network.settled(&|_, _| p.detached())?, count);
            network.at_home(0, &[p.detached()])?;
            drop(network);
            let numbers = p.detached().to_dtype(DType::F32)?.to_vec1::<f32>()?;
            assert_eq!(numbers, [1.0; 3]);
        }
        Ok(())
    }

    #[test]
    fn what_was_moved_is_seen() -> Result<()> {
        let (_store, p) = param("a");
        let mut memory = vec![0f32; 3];
        // SAFETY: three numbers that stay until the end.
        let home = unsafe { Home::of((0, 0), &p, memory.as_mut_ptr(), "a") };
        let home = home.map_err(Error::msg)?;
        // What nothing in tlkit does.
        tlkit_ops::with_vec(&p.detached(), &mut |v| {
            std::mem::forget(std::mem::replace(v, vec![4.0; 3]));
        })?;
        assert!(home.holds(&p.detached()).is_err());
        drop(home);
        assert_eq!(numbers(&p), [4.0; 3]);
        Ok(())
    }
}
