//! Threads: one with a deep stack for the work, and how many share it.

use std::thread;

/// Candle walks its graph by recursion; the main thread's 8 MiB are not enough for a deep one. Only pages that are touched
/// are taken.
const STACK: usize = 256 << 20;

/// Runs `work` on a thread with a deep stack; `Err` when it panicked.
pub fn on_a_large_stack<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> thread::Result<T> {
    match thread::Builder::new()
        .name("tlkit".into())
        .stack_size(STACK)
        .spawn(work)
    {
        Ok(handle) => handle.join(),
        Err(e) => {
            super::output::err(&format!("error: the system gives no thread: {e}\n"));
            Err(Box::new(e))
        }
    }
}

/// Runs `work` on a thread of the pool: where it comes to a parallel loop it takes part, and nobody is put to sleep and woken for it. (From
/// outside the pool each loop costs two such changes, and a training step has hundreds of loops.)
pub fn pooled<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    use_physical_cores();
    rayon::scope(|_| work())
}

/// One thread a physical core, unless RAYON_NUM_THREADS says otherwise. Results do not depend on it.
pub fn use_physical_cores() {
    let asked = std::env::var("RAYON_NUM_THREADS")
        .ok()
        .and_then(|n| n.parse::<usize>().ok())
        .filter(|&n| n > 0);
    // More than a machine could use are more than it can make.
    let most = 4 * num_cpus::get().max(16);
    let threads = asked.map_or_else(num_cpus::get_physical, |n| n.min(most));
    // An error means that a pool is there already, which is as good.
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .stack_size(STACK)
        .build_global();
}

#[cfg(test)]
mod tests {
    use super::{on_a_large_stack, pooled};

    #[test]
    fn what_is_pooled_runs_on_a_thread_of_the_pool() {
        assert_eq!(rayon::current_thread_index(), None);
        assert!(pooled(rayon::current_thread_index).is_some());
    }

    #[test]
    fn a_panic_is_an_error_and_recursion_is_no_panic() {
        fn deep(n: u64) -> u64 {
            let room = [n; 64];
            if n == 0 {
                0
            } else {
                std::hint::black_box(room)[0] - n + deep(n - 1)
            }
        }
        assert_eq!(on_a_large_stack(|| deep(200_000)).ok(), Some(0));
        assert!(on_a_large_stack(|| panic!("on purpose")).is_err());
    }
}
